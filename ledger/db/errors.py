"""What can go wrong between the ledger and its database, and how a driver's error becomes one of these."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

from ledger.model.errors import EnvironmentFailure, InvariantError, MismatchError, NotFoundError, RefusedError


class DatabaseMissingError(EnvironmentFailure):
    """There is no ledger database at this place."""

    code = "db.missing"
    retryable = False
    default_hint = "ath-ledger db upgrade"


class DatabaseLockedError(EnvironmentFailure):
    """Another process held the database for too long."""

    code = "db.locked"
    default_hint = "wait for the other process and try again; ath-ledger doctor shows what runs"


class DatabaseBusyError(EnvironmentFailure):
    """This process used all of its connections to the database for too long."""

    code = "db.busy"
    default_hint = "try again; if it stays so, something holds connections: the log of this process says what it does"


class DatabaseReadOnlyError(EnvironmentFailure):
    """The database does not accept writes."""

    code = "db.read-only"
    retryable = False
    default_hint = "make the database writable for this user, or use a command that only reads"


class DiskFullError(EnvironmentFailure):
    """There is no room left for the database; nothing of this transaction was kept."""

    code = "db.disk-full"
    default_hint = "free some space, then run the same command again"


class DatabaseUnavailableError(EnvironmentFailure):
    """The database cannot be reached, or the connection broke."""

    code = "db.unavailable"
    default_hint = "check that the database runs, then run the same command again"


class DatabaseLoginError(EnvironmentFailure):
    """The database server runs and does not let this user in."""

    code = "db.login"
    retryable = False
    default_hint = "correct the user or the password of database_url (secrets.toml, ATH_LEDGER_DATABASE_URL)"


class DatabaseDamagedError(EnvironmentFailure):
    """The file is not a database, or its pages are damaged."""

    code = "db.damaged"
    retryable = False
    default_hint = "restore the workspace from a backup or from its bundles; do not write to this file"


class SchemaOlderError(EnvironmentFailure):
    """The database was written by an older version and needs its migrations."""

    code = "db.schema-older"
    retryable = False
    default_hint = "ath-ledger db upgrade"


class SchemaNewerError(EnvironmentFailure):
    """The database was written by a newer version of this program."""

    code = "db.schema-newer"
    retryable = False
    default_hint = "install the version of ath-ledger that wrote this database"


class SchemaDiffersError(MismatchError):
    """The database's tables are not the ones its revision stands for."""

    code = "db.schema-differs"
    default_hint = "find out who altered the schema; restore from a backup or from the bundles"


class GuardsChangedError(MismatchError):
    """The database's append-only guards are not the ones this version installs."""

    code = "db.guards-changed"
    default_hint = "find out who changed them (ath-ledger audit journal), then ath-ledger db upgrade"


class BlobDamagedError(MismatchError):
    """Content kept in the database is gone or not what was kept."""

    code = "db.blob-damaged"
    default_hint = "restore the database from a backup"


class AppendOnlyError(InvariantError):
    """Somebody tried to change a row that never changes; the database refused."""

    code = "db.append-only"
    default_hint = "book a correction instead; this is a defect of the caller"


class ConstraintBrokenError(InvariantError):
    """A row breaks a constraint of the schema; the database refused it."""

    code = "db.constraint"


class RowMissingError(NotFoundError):
    """The row that was asked for is not in this ledger."""

    code = "db.not-found"


class WouldLoseError(RefusedError):
    """An older schema has no place for what this database holds; nothing was changed."""

    code = "db.would-lose"
    default_hint = "keep this version; a backup is made by: ath-ledger db backup FILE"


class AlreadyDifferentError(RefusedError):
    """The same identity is already stored with another content."""

    code = "db.already-different"


APPEND_ONLY_MARK = "append-only: "
"""How the message of every guard against a change starts, on both engines."""
DUPLICATE_MARK = "duplicate row: "
"""How SQLite's guards against INSERT OR REPLACE start; PostgreSQL's own unique constraints say it there."""

_SQLITE_PRIMARY: dict[int, type[EnvironmentFailure]] = {
    sqlite3.SQLITE_BUSY: DatabaseLockedError,
    sqlite3.SQLITE_LOCKED: DatabaseLockedError,
    sqlite3.SQLITE_READONLY: DatabaseReadOnlyError,
    sqlite3.SQLITE_PERM: DatabaseReadOnlyError,
    sqlite3.SQLITE_FULL: DiskFullError,
    sqlite3.SQLITE_IOERR: DatabaseUnavailableError,
    sqlite3.SQLITE_CANTOPEN: DatabaseMissingError,
    sqlite3.SQLITE_CORRUPT: DatabaseDamagedError,
    sqlite3.SQLITE_NOTADB: DatabaseDamagedError,
}
_POSTGRES_STATES: tuple[tuple[str, type[EnvironmentFailure]], ...] = (
    ("55P03", DatabaseLockedError),  # lock_not_available
    ("40P01", DatabaseLockedError),  # deadlock_detected
    ("40001", DatabaseLockedError),  # serialization_failure
    ("57014", DatabaseLockedError),  # query_canceled: a statement or lock time limit
    ("25006", DatabaseReadOnlyError),  # read_only_sql_transaction
    ("42501", DatabaseReadOnlyError),  # insufficient_privilege
    ("53100", DiskFullError),
    ("3D000", DatabaseMissingError),  # the server has no database of this name
    ("XX001", DatabaseDamagedError),
    ("28", DatabaseLoginError),
    ("08", DatabaseUnavailableError),
    ("53", DatabaseUnavailableError),
    ("57", DatabaseUnavailableError),
)


_NOT_LET_IN = ("authentication failed", "pg_hba.conf", 'FATAL:  role "', "no password supplied")
"""What psycopg says without a state when a server that runs refuses a connection; PostgreSQL's own words."""


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn a driver's error inside the block into the ledger's own; `place` says which database."""
    try:
        yield
    except NoConnectionFreeError as error:
        raise DatabaseBusyError(f"{place}: no connection was free in time") from error
    except DBAPIError as error:
        reason = str(error.orig)
        if APPEND_ONLY_MARK in reason:
            raise AppendOnlyError(f"{place}: {_first_line(reason)}") from error
        kind = _environment(error)
        if kind is not None:
            raise kind(f"{place}: {_first_line(reason)}", hint=_hint(kind, place)) from error
        if isinstance(error, IntegrityError):
            raise ConstraintBrokenError(f"{place}: {_first_line(reason)}") from error
        raise


def _environment(error: DBAPIError) -> type[EnvironmentFailure] | None:
    """The class of failure of the surroundings a driver reports, if it is one."""
    original = error.orig
    if isinstance(original, sqlite3.Error):
        # not every sqlite3.Error carries a code (wrong thread, closed connection)
        return _SQLITE_PRIMARY.get(getattr(original, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(original, "sqlstate", None)
    if state is None:
        # psycopg reports a refused or lost connection, or a host without an address, without a state
        message = str(original)
        if "does not exist" in message and "database" in message:
            return DatabaseMissingError
        if any(words in message for words in _NOT_LET_IN):
            return DatabaseLoginError
        is_away = error.connection_invalidated or isinstance(error, OperationalError) or "connect" in message
        return DatabaseUnavailableError if is_away else None
    return next((kind for prefix, kind in _POSTGRES_STATES if str(state).startswith(prefix)), None)


def _hint(kind: type[EnvironmentFailure], place: str) -> str | None:
    """What else to do about it than the error says by itself: only a server's administrator makes a database there."""
    if kind is DatabaseMissingError and not place.startswith("sqlite"):
        return "create it on the server (CREATE DATABASE …), then: ath-ledger db upgrade"
    return None


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "no reason given"
