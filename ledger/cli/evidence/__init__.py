"""What comes from outside: nodes and their registrations, batches and their verdicts."""
