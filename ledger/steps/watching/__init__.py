"""Watching a publisher from outside: every proposal recomputed in its window, revoked or reported when it is wrong."""
