"""A copy of the database while others read and write it, through SQLite's own online backup."""

import os
import sqlite3
from pathlib import Path
from typing import Final

from ledger.db.engine import Database
from ledger.db.errors import DatabaseDamagedError, DiskFullError
from ledger.model.errors import EnvironmentFailure, UsageError

_PAGES_AT_ONCE: Final = 1000


class BackupFailedError(EnvironmentFailure):
    """The copy could not be made; nothing was left behind."""

    code = "db.backup-failed"


def back_up(database: Database, file: Path) -> int:
    """Write one consistent state of the database to a new file; its size in bytes.

    The file appears whole or not at all. Raises UsageError
    (PostgreSQL, or the file is there), DiskFullError, DatabaseDamagedError, BackupFailedError.
    """
    if database.dialect != "sqlite":
        raise UsageError("only SQLite is backed up from here", hint="use pg_dump for PostgreSQL")
    if file.exists():
        raise UsageError(f"{file} is there already", hint="name a new file")
    source = Path(str(database.engine.url.database).removeprefix("file:"))
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        _copy(source, draft)
        size = draft.stat().st_size
        draft.replace(file)
    except sqlite3.Error as error:
        kind = DiskFullError if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL else None
        raise (kind or BackupFailedError)(f"{draft}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return size


def _copy(source: Path, draft: Path) -> None:
    reading, writing = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(draft)
    try:
        reading.backup(writing, pages=_PAGES_AT_ONCE)
        # one file that opens anywhere, without a write-ahead log beside it
        writing.execute("PRAGMA journal_mode = DELETE")
        verdict = writing.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        writing.close()
        reading.close()
    if verdict != "ok":
        raise DatabaseDamagedError(f"{source}: {verdict}")
    with draft.open("rb") as content:
        os.fsync(content.fileno())
