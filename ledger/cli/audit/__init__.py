"""Proving results: verifying, comparing, exporting, reading the books."""
