"""Celery as a doorbell: a message carries an epoch and a version; state, exclusion and truth are in the database."""
