"""The file a backup is: an uncompressed tar whose last member lists all others with their SHA-256.

The same ledger gives the same bytes on any machine. Nothing is taken from an archive before every member was held
against the list.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from ledger.model.durable import OWNER_ONLY, draft_prefix
from ledger.model.errors import EnvironmentFailure, MismatchError, UsageError
from ledger.tree.canonical import canonical_json

FORMAT: Final = "ath-ledger/backup/1"
INDEX: Final = "index.json"
_CHUNK: Final = 1 << 20
_INDEX_LIMIT: Final = 256 << 20


class BackupDamagedError(MismatchError):
    """The file is no backup of a ledger, or not the one that was written."""

    code = "backup.damaged"
    default_hint = "take another copy of the backup"


class BackupNewerError(EnvironmentFailure):
    """A newer version of this program wrote the backup."""

    code = "backup.newer"
    retryable = False
    default_hint = "install the version of ath-ledger that wrote it"


class ArchiveWriter:
    """Adds members in the order they are given."""

    def __init__(self, tar: tarfile.TarFile, folder: Path) -> None:
        self._tar = tar
        self._folder = folder
        self._members: dict[str, dict[str, Any]] = {}

    def add(self, name: str, content: bytes) -> None:
        """One member from memory."""
        self._put(name, len(content), io.BytesIO(content), hashlib.sha256(content).hexdigest())

    def add_lines(self, name: str, lines: Iterable[bytes]) -> None:
        """One member line by line, of any length."""
        digest, size = hashlib.sha256(), 0
        with tempfile.TemporaryFile(dir=self._folder) as kept:  # a tar says the length before the content
            for line in lines:
                kept.write(line)
                digest.update(line)
                size += len(line)
            kept.seek(0)
            self._put(name, size, kept, digest.hexdigest())

    def finish(self, about: Mapping[str, Any]) -> None:
        """The list of what was added, and what the backup says of itself."""
        index = canonical_json({"format": FORMAT, **about, "members": self._members})
        self._tar.addfile(_plain(INDEX, len(index)), io.BytesIO(index))

    def _put(self, name: str, size: int, content: IO[bytes], sha256: str) -> None:
        self._members[name] = {"size": size, "sha256": sha256}
        self._tar.addfile(_plain(name, size), content)


@contextmanager
def new_archive(out: Path) -> Iterator[ArchiveWriter]:
    """A writer whose file appears whole, on disk and readable by its owner alone, when the block ends well.

    UsageError when there is a file already.
    """
    if out.exists():
        raise UsageError(f"{out} is there already", hint="name a new file")
    draft = out.with_name(f"{draft_prefix(out)}{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                yield ArchiveWriter(tar, out.parent)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


class Archive:
    """A backup that was checked from its first to its last byte."""

    def __init__(self, tar: tarfile.TarFile, index: Mapping[str, Any], members: Mapping[str, tarfile.TarInfo]) -> None:
        self._tar = tar
        self.about = index
        self.members = members

    def read(self, name: str) -> bytes:
        """A member, whole. BackupDamagedError when it is not there."""
        return self._open(name).read()

    def lines(self, name: str) -> Iterator[bytes]:
        """A member line by line."""
        yield from self._open(name)

    def _open(self, name: str) -> IO[bytes]:
        member = self.members.get(name)
        content = None if member is None else self._tar.extractfile(member)
        if content is None:
            raise BackupDamagedError(f"the backup has no {name}")
        return content


@contextmanager
def open_archive(file: Path) -> Iterator[Archive]:
    """Check a backup and hand it over. BackupDamagedError, BackupNewerError."""
    try:
        with tarfile.open(file, mode="r:") as tar:
            members = _regular_members(tar)
            index = _index(tar, members)
            _check_members(tar, members, index)
            yield Archive(tar, index, members)
    except (tarfile.TarError, EOFError) as error:
        raise BackupDamagedError(f"{file} cannot be read as a backup: {error}") from error


def _regular_members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    found: dict[str, tarfile.TarInfo] = {}
    for member in tar:
        if not member.isreg() or member.name in found:
            raise BackupDamagedError(f"{member.name!r} is no member of a backup")
        found[member.name] = member
    return found


def _index(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]) -> Mapping[str, Any]:
    member = members.get(INDEX)
    content = None if member is None or member.size > _INDEX_LIMIT else tar.extractfile(member)
    if content is None:
        raise BackupDamagedError("it has no list of its members: it was cut off, or is no backup")
    try:
        index = json.loads(content.read())
        format_ = str(index["format"])
        named = index["members"].items()
        listed = {str(name): (int(each["size"]), str(each["sha256"])) for name, each in named}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupDamagedError(f"the list of its members cannot be read: {error}") from error
    if format_ != FORMAT:
        known = format_.rpartition("/")[0] == FORMAT.rpartition("/")[0]
        raise (BackupNewerError if known else BackupDamagedError)(f"its format is {format_!r}, known is {FORMAT!r}")
    if listed.keys() != members.keys() - {INDEX}:
        raise BackupDamagedError(f"its members are not those of its list, e.g. {min(listed.keys() ^ members.keys())!r}")
    return {**index, "members": listed}


def _check_members(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], index: Mapping[str, Any]) -> None:
    for name, (size, sha256) in index["members"].items():
        digest = hashlib.sha256()
        content = tar.extractfile(members[name])
        while content is not None and (piece := content.read(_CHUNK)):
            digest.update(piece)
        if members[name].size != size or digest.hexdigest() != sha256:
            raise BackupDamagedError(f"{name} is not what was written")


def _plain(name: str, size: int) -> tarfile.TarInfo:
    """A member without date, owner or rights: they would differ from machine to machine."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, OWNER_ONLY
    return member
