"""Asking a node of the chain, or several: bounded, checked, none believed before it was looked at."""
