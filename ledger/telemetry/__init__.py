"""What a running ledger tells about itself: log lines and metrics."""
