"""Superseding a wrong claim tree that is active already: prepared, announced, booked when the chain has done it."""
