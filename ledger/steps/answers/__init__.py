"""What people ask of a ledger: read-only, one module per question."""
