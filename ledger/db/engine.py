"""Opening the database, and the unit of work: one `transaction()` is one atomic step of the ledger.

SQLite by default, PostgreSQL 15 or newer by URL. Nothing else in the project begins or commits.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.orm import Session

from ledger.db.errors import (
    DatabaseMissingError,
    DatabaseReadOnlyError,
    SchemaNewerError,
    SchemaOlderError,
    translated,
)
from ledger.db.guards import check_guards
from ledger.model.errors import LedgerError, UsageError

SCHEMA_REVISIONS: Final = ("0001", "0002")
"""Every migration this version knows, oldest first; the last one is the schema it works with."""
BUSY_TIMEOUT_MS: Final = 30_000
"""How long a writer waits for another one. A 435,000-node seal holds the lock for seconds, not minutes."""

CONNECTIONS: Final = 20
"""What one process opens at most; a server has fewer threads that read, and some of them read twice at once."""
_KEPT_OPEN: Final = 5
"""Of those to SQLite, where one costs little to open and its cache costs memory."""
FREE_WITHIN_SECONDS: Final = 30
"""How long a thread waits for one of them before it is told `db.busy`."""
TRUSTED_SECONDS: Final = 0.5
"""For so long after its last use a connection to PostgreSQL is not asked whether it still stands."""

_BEGIN: Final = "ledger_sqlite_begin"
_GIVEN_BACK: Final = "ledger_given_back"


class Database:
    """One open ledger database. `engine` is for migrations and inspection; work goes through the two doors."""

    def __init__(self, engine: Engine, *, place: str, read_only: bool) -> None:
        self.engine = engine
        self.place = place
        """The URL without its password, for messages."""
        self.read_only = read_only
        self._shared = threading.local()
        if engine.dialect.name == "sqlite":
            self._readers: Engine = engine.execution_options(**{_BEGIN: "BEGIN"})
            self._writers: Engine = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        else:
            # one snapshot for all statements of a report, as SQLite gives by itself
            self._readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._writers = engine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """The unit of work: commits at the end of the block, rolls everything back when it raises.

        On SQLite it takes the write lock at once (BEGIN IMMEDIATE): a lock taken at the first write
        lets two readers decide on the same old state. Not to be nested.
        """
        if self.read_only:
            raise DatabaseReadOnlyError(f"{self.place} was opened read-only")
        with translated(self.place), Session(self._writers, expire_on_commit=False) as session, session.begin():
            session.connection()  # begin now, not at the first statement
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent snapshot; whatever the block writes by mistake is rolled back."""
        shared: Session | None = getattr(self._shared, "session", None)
        if shared is not None:
            yield shared
            return
        with translated(self.place), Session(self._readers, expire_on_commit=False, autoflush=False) as session:
            yield session  # closed without a commit: rolled back

    @contextmanager
    def one_snapshot(self) -> Iterator[None]:
        """All that this thread reads inside the block is one snapshot, over one connection, however many ask for it."""
        if getattr(self._shared, "session", None) is not None:
            yield
            return
        with self.reading() as session:
            self._shared.session = session
            try:
                yield
            finally:
                self._shared.session = None

    def revision(self) -> str | None:
        """The schema's revision as stored in the database; None when it has never been migrated."""
        with translated(self.place), self._readers.connect() as connection:
            return stored_revision(connection)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def open_database(url: str, *, create: bool = False, read_only: bool = False) -> Database:
    """Open the ledger at `url` (`sqlite:///path/ledger.db`, `postgresql://host/name`).

    With `create` a missing SQLite file is made and the schema is not looked at: that is for
    `ledger.db.migrations.upgrade`. Otherwise schema and guards must be exactly this version's.

    Raises DatabaseMissingError, SchemaOlderError, SchemaNewerError, GuardsChangedError, or what
    `ledger.db.errors` makes of the driver's complaint.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        # what cannot be read as a URL cannot be masked like one either
        shown = "what is set" if "@" in url else repr(url)
        raise UsageError(f"{shown} is no database URL", hint="use sqlite:///FILE or postgresql://HOST/NAME") from error
    match parsed.get_backend_name():
        case "sqlite":
            engine = _sqlite_engine(parsed, create=create, read_only=read_only)
        case "postgresql":
            engine = _postgresql_engine(parsed, read_only=read_only)
        case other:
            raise UsageError(f"database {other!r} is not supported", hint="use sqlite:/// or postgresql://")
    database = Database(engine, place=parsed.render_as_string(hide_password=True), read_only=read_only)
    if not create:
        try:
            check_revision(database)
            with database.reading() as session:
                check_guards(session.connection())
        except LedgerError:
            database.close()
            raise
    return database


def check_revision(database: Database) -> None:
    """Refuse a database whose schema is not this version's."""
    found, wanted = database.revision(), SCHEMA_REVISIONS[-1]
    if found == wanted:
        return
    if found is None:
        raise DatabaseMissingError(f"{database.place} holds no ledger")
    if found in SCHEMA_REVISIONS:
        raise SchemaOlderError(f"{database.place} has schema {found}, this version needs {wanted}")
    raise SchemaNewerError(f"{database.place} has schema {found}; this version knows up to {wanted}")


def stored_revision(connection: Connection) -> str | None:
    """The revision Alembic recorded, or None."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return str(found[0]) if found else None


def _sqlite_engine(url: URL, *, create: bool, read_only: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise UsageError("a ledger in memory would be lost at exit", hint="use sqlite:///FILE")
    path = Path(url.database)
    if not path.exists() and (read_only or not create):
        raise DatabaseMissingError(f"there is no database at {path}")
    if read_only:
        url = url.set(database=f"file:{path}", query={"mode": "ro", "uri": "true"})
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
        pool_size=_KEPT_OPEN,
        max_overflow=CONNECTIONS - _KEPT_OPEN,
        pool_timeout=FREE_WITHIN_SECONDS,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred and comes too late
        statements = ["PRAGMA foreign_keys = ON", "PRAGMA recursive_triggers = ON"]
        if not read_only:
            # FULL: the outbox must be on disk before a transaction is broadcast
            statements += ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"]
        for statement in statements:
            connection.execute(statement)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN IMMEDIATE"))

    return engine


def _postgresql_engine(url: URL, *, read_only: bool) -> Engine:
    options = "-c default_transaction_read_only=on" if read_only else ""
    options += f" -c lock_timeout={BUSY_TIMEOUT_MS}"
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={"options": options.strip()},
        # kept once opened: what is opened for a rush and closed after it costs more than all it is asked
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=FREE_WITHIN_SECONDS,
    )

    @event.listens_for(engine, "checkin")
    def given_back(_connection: Any, record: Any) -> None:
        record.info[_GIVEN_BACK] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def stands(connection: Any, record: Any, _proxy: Any) -> None:
        """SQLAlchemy's own pre-ping asks every time: a seventh of the questions of an explanation."""
        idle_since = record.info.get(_GIVEN_BACK)
        if idle_since is None or time.monotonic() - idle_since < TRUSTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError("the server closed the connection") from error

    return engine
