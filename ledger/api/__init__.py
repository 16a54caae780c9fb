"""The HTTP API: questions answered as JSON and CSV, and the door for signed evidence."""
