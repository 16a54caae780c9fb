"""What a process keeps of a ledger while it works: files it looked at, things it read, roles the door knows."""
