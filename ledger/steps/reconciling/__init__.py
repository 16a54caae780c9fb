"""Holding the books against themselves, against the chain and against a second calculation (reconciliation)."""
