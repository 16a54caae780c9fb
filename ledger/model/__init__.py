"""The ledger's words: units, identities, policy, epochs, headers, errors. Standard library only."""
