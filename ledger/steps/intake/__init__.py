"""The door: what senders hand in, whose content is kept, what is refused at once."""
