"""Rows that no hash covers, each derived again from something that is hashed, signed or on chain."""
