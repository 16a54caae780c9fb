"""The real database door with moments in it: locked at the beginning, lost before or after the commit.

A transaction whose commit was sent and whose answer was lost raises although everything is stored, as a broken
connection does. Nobody is interrupted inside a transaction, except by death.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ledger.db.engine import Database
from ledger.db.errors import DatabaseLockedError, DatabaseUnavailableError


class SimDatabase(Database):
    """`moment` is told where the worker is; `strikes` says whether a fault happens there."""

    def __init__(
        self,
        engine: Engine,
        readers: Engine,
        moment: Callable[[str, bool], None],
        strikes: Callable[[str], bool],
    ) -> None:
        super().__init__(engine, place="simulation", read_only=False)
        self._reader = Session(readers, expire_on_commit=False, autoflush=False)
        self._moment = moment
        self._strikes = strikes
        self.open_transactions = 0

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One session for all reads of a run, for most of a run is reading; it keeps no row it has read."""
        try:
            yield self._reader
        finally:
            if self._reader.identity_map or self._reader.new:
                self._reader.expunge_all()

    def end(self) -> None:
        """The run is over; the engine goes on to the next one."""
        self._reader.close()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self._moment("begin", False)
        if self._strikes("database locked"):
            raise DatabaseLockedError("simulation: database is locked")
        self.open_transactions += 1
        try:
            with super().transaction() as session:
                yield session
                session.flush()
                self._moment("commit", True)
                if self._strikes("lost before commit"):
                    raise DatabaseUnavailableError("simulation: the connection broke before the commit")
        finally:
            self.open_transactions -= 1
        self._moment("committed", False)
        if self._strikes("lost after commit"):
            raise DatabaseUnavailableError("simulation: the connection broke after the commit was sent")
