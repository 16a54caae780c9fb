"""What governance decides: drafting it, announcing it, seeing what it would have done."""
