"""What an epoch's computation needs that can be done ahead, in parts, by any number of workers."""
