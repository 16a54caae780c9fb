"""What earlier steps recorded, read again: frozen evidence, results, files."""
