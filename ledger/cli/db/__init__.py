"""The database: schema, check, backup and restore."""
