"""Proofs about single things, checked with no database: an entry, a record, that the books were only continued."""
