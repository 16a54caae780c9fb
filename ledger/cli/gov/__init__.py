"""What the governor and the guardian decide."""
