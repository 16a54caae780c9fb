"""Shapes of answers that several routes, or the documentation of one large one, need."""
