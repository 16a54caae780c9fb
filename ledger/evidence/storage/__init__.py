"""Items as files: read with suspicion, kept by uid, never changed."""
