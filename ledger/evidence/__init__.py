"""Everything signed: its bytes, its files, its store, and the judgement on what of it counts."""
