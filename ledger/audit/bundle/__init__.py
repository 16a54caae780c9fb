"""One epoch as one deterministic file that proves itself; read with suspicion."""
