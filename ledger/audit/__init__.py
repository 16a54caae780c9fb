"""The auditor's side: recompute an epoch from its evidence alone, and name the first thing that differs."""
