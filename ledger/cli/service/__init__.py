"""Making a workspace and running it."""
