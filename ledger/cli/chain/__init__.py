"""The chain a ledger settles on: its contracts, its accounts, the ledger's own transactions."""
