"""What operators earned, why, and claiming it."""
