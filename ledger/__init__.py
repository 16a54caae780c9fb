"""ATH Ledger: exact, provable rewards for a decentralised GPU cloud."""

__version__ = "0.1.0"
