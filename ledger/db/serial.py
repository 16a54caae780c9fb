"""One writer at a time inside a transaction, for numbers that count without gaps."""

import hashlib

from sqlalchemy import text
from sqlalchemy.orm import Session


def one_at_a_time(session: Session, name: str) -> None:
    """Wait until this transaction is the only one that holds `name`; it does until it ends.

    PostgreSQL: an advisory lock; without it two appenders read the same last number and fork. SQLite: nothing
    to do, because `Database.transaction()` took the write lock at its begin.
    """
    if session.get_bind().dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(b"append " + name.encode()).digest()[:8], "big", signed=True)
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
