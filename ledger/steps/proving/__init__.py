"""Making proofs out of the workspace."""
