"""A typed client of the HTTP API, for scripts and for the command line's `--url`."""
