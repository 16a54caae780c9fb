"""Memory maps of recorded files: verified once, then read by every later answer of the process at no cost.

A map is kept by the digest its bytes were held against. Whether the file is still the one that was verified is asked
on every use, by size, inode and the time of its last change: bytes written later are hashed again before anybody
reads them. Files are replaced whole and never written in place, so a map that is in use stays what it was.
"""

import hashlib
import mmap
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from ledger.model.errors import MismatchError
from ledger.model.units import Hash32, to_hex

_MAPS_AT_ONCE: Final = 64
"""Maps kept; the least recently used one goes first. Address space, not memory: the pages are the system's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedFile:
    """A recorded file's bytes and the SHA-256 they have."""

    place: Path
    digest: Hash32
    view: memoryview
    """Read-only; keeps its map alive for as long as anybody holds it."""
    identity: "_Identity"

    @property
    def is_unchanged(self) -> bool:
        """Whether the file in this place is still the one that was verified."""
        try:
            return _identity(self.place.stat()) == self.identity
        except FileNotFoundError:
            return False


@dataclass(frozen=True, slots=True)
class _Identity:
    """What changes when a file is written, replaced or cut, and cannot be set back to what it was."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class MappedFiles:
    """A bounded set of verified maps, for any number of threads."""

    def __init__(self, *, at_most: int = _MAPS_AT_ONCE) -> None:
        self._at_most = at_most
        self._lock = Lock()
        self._known: OrderedDict[tuple[bytes, Path], MappedFile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def open(self, place: Path, digest: Hash32) -> MappedFile:
        """The file, whose bytes have this SHA-256. MismatchError names one that is gone or has other bytes."""
        key = (bytes(digest), place)
        try:
            identity = _identity(place.stat())
        except FileNotFoundError as error:
            raise MismatchError(f"{place} is gone; its SHA-256 was {to_hex(digest)}") from error
        with self._lock:
            known = self._known.get(key)
            if known is not None and known.identity == identity:
                self._known.move_to_end(key)
                return known
        file = _verified(place, digest)  # outside the lock: others need not wait for a large file's hash
        with self._lock:
            self._known[key] = file
            self._known.move_to_end(key)
            while len(self._known) > self._at_most:
                self._known.popitem(last=False)
        return file


def _verified(place: Path, digest: Hash32) -> MappedFile:
    with place.open("rb") as file:
        # of the open file: its name may lead to another one a moment later
        identity = _identity(os.fstat(file.fileno()))
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if identity.size else b"")
    found = hashlib.sha256(view).digest()
    if found != digest:
        raise MismatchError(f"{place} has SHA-256 {to_hex(found)}, recorded was {to_hex(digest)}")
    return MappedFile(place=place, digest=digest, view=view, identity=identity)


def _identity(status: os.stat_result) -> _Identity:
    return _Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
