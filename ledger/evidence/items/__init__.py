"""What is signed: types and digests, registrations, batches and their records, revocations."""
