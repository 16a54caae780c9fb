"""Sending for the ledger, sending for a person, and what only a person decides."""
