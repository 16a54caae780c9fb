"""The local chain: Anvil, what it keeps on disk, and its time."""
