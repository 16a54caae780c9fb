"""A file derived from others, kept to be looked things up in; whoever deletes it costs the next answer some time.

It is a SQLite file whose name carries the digest of everything it was derived from and the SHA-256 of its own bytes.
One that was derived from other sources is never opened, one whose bytes were changed is derived again. It proves
nothing: proofs, audits and the books never read it.
"""

import fcntl
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Final

from ledger.model.durable import OWNER_ONLY
from ledger.model.errors import MismatchError
from ledger.model.units import Hash32
from ledger.steps.kept.mapped_files import MappedFiles

Build = Callable[[sqlite3.Connection], None]

KEPT_BYTES: Final = 16 * 2**30
"""What all derived files of a folder may take: those of a month of epochs of 435,000 nodes."""
_SUFFIX: Final = ".sqlite"
_DRAFT: Final = ".draft-"
_FOR_BUILDING: Final = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -65536")
_FOR_READING: Final = ("PRAGMA mmap_size = 4294967296", "PRAGMA query_only = ON")


class DerivedFile:
    """One open derived file, for any number of threads."""

    def __init__(self, place: Path, passing: "TemporaryDirectory[str] | None" = None) -> None:
        self._passing = passing
        self.place = place
        self._lock = Lock()
        # immutable: its bytes were verified and nobody writes to a file of this name
        uri = f"{place.absolute().as_uri()}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        for pragma in _FOR_READING:
            self._connection.execute(pragma)

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()
        if self._passing is not None:
            self._passing.cleanup()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a query, or None."""
        with self._lock:
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
            return found


def derived_file(folder: Path | None, name: str, sources: Iterable[bytes], build: Build) -> DerivedFile:
    """The file of this name derived from sources with these digests; built now where there is none.

    Two processes that need it at once build it once. Without a folder, or in one that cannot be written, the file
    lasts as long as the object.
    """
    source = hashlib.sha256(b"".join(sources)).hexdigest()
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f".{name}.lock").open("a") as lock:
                found = _sound(folder, name, source)
                if found is None:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    found = _sound(folder, name, source) or _built(folder, name, source, build)
            os.utime(found)
            _make_room(folder, found)
            return DerivedFile(found)
        except (OSError, sqlite3.Error):  # a full or read-only disk must not keep anybody from an answer
            pass
    passing = TemporaryDirectory(prefix="ath-ledger-")
    return DerivedFile(_built(Path(passing.name), name, source, build), passing)


def _make_room(folder: Path, needed: Path) -> None:
    """Remove what was not opened for longest while all together are too large; who has one open keeps it."""
    files = [(place.stat(), place) for place in folder.glob(f"*{_SUFFIX}") if place != needed]
    room = KEPT_BYTES - needed.stat().st_size
    for status, place in sorted(files, key=lambda file: file[0].st_mtime_ns, reverse=True):
        room -= status.st_size
        if room < 0:
            place.unlink(missing_ok=True)


def _sound(folder: Path, name: str, source: str) -> Path | None:
    """A file of this name and these sources whose bytes are what its name says; others of them are removed."""
    for place in sorted(folder.glob(f"{name}.{source}.*{_SUFFIX}")):
        digest = place.name.removesuffix(_SUFFIX).rpartition(".")[2]
        try:
            MappedFiles().open(place, Hash32(bytes.fromhex(digest)))
        except (MismatchError, ValueError):
            place.unlink(missing_ok=True)
        else:
            return place
    return None


def _built(folder: Path, name: str, source: str, build: Build) -> Path:
    for abandoned in folder.glob(f"{_DRAFT}{name}.*"):  # by one that was killed: whoever builds holds the name's lock
        abandoned.unlink(missing_ok=True)
    draft = folder / f"{_DRAFT}{name}.{secrets.token_hex(6)}"
    try:
        draft.touch(OWNER_ONLY, exist_ok=False)
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            for pragma in _FOR_BUILDING:
                connection.execute(pragma)
            connection.execute("BEGIN")
            build(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()
        with draft.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            os.fsync(content.fileno())
        place = folder / f"{name}.{source}.{digest}{_SUFFIX}"
        older = set(folder.glob(f"{name}.*{_SUFFIX}")) - {place}
        draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    for outdated in older:
        outdated.unlink(missing_ok=True)
    return place
