"""Gathering what reports, exports of the books and proofs are made of."""
