"""Transactions: checked first, signed, sent exactly once, watched."""
