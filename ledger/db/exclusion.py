"""One holder at a time, over several transactions: a lock that dies with its process or connection.

Transactions alone cannot say "one broadcaster per sender": sending happens between two of them.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from ledger.db.engine import Database
from ledger.db.errors import translated
from ledger.model.errors import EnvironmentFailure


class HeldElsewhereError(EnvironmentFailure):
    """Another process is doing this right now."""

    code = "db.held-elsewhere"
    default_hint = "wait for the other process and try again; ath-ledger doctor shows what runs"


@contextmanager
def exclusively(database: Database, name: str) -> Iterator[None]:
    """Hold the lock `name` of this database for the block, or raise HeldElsewhereError at once.

    PostgreSQL: an advisory lock of a session of its own. SQLite: a locked file beside the database.
    """
    if database.dialect == "postgresql":
        with _advisory(database, name):
            yield
    else:
        with _file_lock(database, name):
            yield


@contextmanager
def _advisory(database: Database, name: str) -> Iterator[None]:
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with translated(database.place), engine.connect() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar_one():
            raise HeldElsewhereError(f"{name} is held by another session of {database.place}")
        try:
            yield
        finally:
            # a broken connection has given the lock back already
            if not connection.invalidated and not connection.closed:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})


@contextmanager
def _file_lock(database: Database, name: str) -> Iterator[None]:
    place = Path(database.engine.url.database or "")
    mark = hashlib.sha256(name.encode()).hexdigest()[:16]
    with place.with_name(f"{place.name}-{mark}.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeldElsewhereError(f"{name} is held by another process on {database.place}") from error
        yield
