"""The epoch's way: one module a transition, from OPEN to FINAL, and what takes it back."""
