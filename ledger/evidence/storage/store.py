"""The evidence store: items as files, addressed by uid, never changed once they are there.

An object's name carries its uid and the SHA-256 of its bytes, so one flipped byte anywhere, even one no
reader looks at, is found and named. There is no update and no delete. `EvidenceStore` asks only for
what an object store can do: put if absent, get, list by prefix.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ledger.model.durable import OWNER_ONLY, write_whole
from ledger.model.errors import EnvironmentFailure, MismatchError, NotFoundError
from ledger.model.units import Hash32, to_hex

if TYPE_CHECKING:  # what reads and writes the files themselves is loaded where that is done
    from ledger.evidence.items.batch import SignedBatch
    from ledger.evidence.items.registration import SignedRegistration
    from ledger.evidence.items.revocation import SignedRevocation
    from ledger.evidence.items.typed_data import Domain


class ItemKind(StrEnum):
    """What an object is; each kind lists by itself."""

    BATCH = "batch"
    REGISTRATION = "registration"
    REVOCATION = "revocation"
    USED_RANGES = "used-ranges"
    """A register of used certificate ranges, addressed by its root."""
    STATEMENTS = "statements"
    """An epoch's node statements, addressed by their statementsHash."""


_SUFFIX = {
    ItemKind.BATCH: ".parquet",
    ItemKind.REGISTRATION: ".json",
    ItemKind.REVOCATION: ".json",
    ItemKind.USED_RANGES: ".parquet",
    ItemKind.STATEMENTS: ".parquet",
}


class ItemNotStoredError(NotFoundError):
    """The evidence store has no such item."""

    code = "evidence.not-stored"
    default_hint = "ath-ledger batch status"


class StoredBytesDifferError(MismatchError):
    """Stored evidence is not what was stored, or somebody stores other bytes under a uid that is taken."""

    code = "evidence.bytes-differ"
    default_hint = "ath-ledger doctor"


class StoreFailure(EnvironmentFailure):
    """The evidence store's disk does not do its part."""

    code = "evidence.store-failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """Where an item stands: its kind, uid, the SHA-256 of its bytes, their number."""

    kind: ItemKind
    uid: Hash32
    sha256: bytes
    size: int


class EvidenceStore(Protocol):
    """Keeps items for ever."""

    def put(self, kind: ItemKind, uid: Hash32, content: bytes) -> StoredItem:
        """Store durably before returning; the same bytes again change nothing.

        Raises StoredBytesDifferError when other bytes are stored under the uid.
        """
        ...

    def get(self, kind: ItemKind, uid: Hash32) -> bytes:
        """The bytes, checked against their digest; ItemNotStoredError, StoredBytesDifferError."""
        ...

    def get_all(self, kind: ItemKind, uids: Sequence[Hash32]) -> Iterator[bytes]:
        """The bytes of many items in the order they are asked for, as `get` gives them one by one."""
        ...

    def read(self, item: StoredItem) -> bytes:
        """The bytes of an item that `list` or `find` named, checked against its digest."""
        ...

    def find(self, kind: ItemKind, uid: Hash32) -> StoredItem | None:
        """What is known about an item without reading it; None when it is not stored."""
        ...

    def exists(self, kind: ItemKind, uid: Hash32) -> bool:
        """Whether the item is stored."""
        ...

    def list(self, kind: ItemKind) -> Iterator[StoredItem]:
        """All items of a kind by ascending uid."""
        ...


class FolderStore:
    """An evidence store in a folder: `<kind>/<first byte>/<uid>.<sha256>.<suffix>`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, kind: ItemKind, uid: Hash32, content: bytes) -> StoredItem:
        with ExitStack() as held:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                folder = os.open(self._folder, os.O_RDONLY)
                held.callback(os.close, folder)
                fcntl.flock(folder, fcntl.LOCK_EX)  # two signatures over one item must not both become its file
            except OSError as error:
                raise StoreFailure(f"cannot store {kind} {to_hex(uid)}: {error}") from error
            return self._put_alone(kind, uid, content)

    def _put_alone(self, kind: ItemKind, uid: Hash32, content: bytes) -> StoredItem:
        digest = hashlib.sha256(content).digest()
        there = self.find(kind, uid)
        if there is not None and there.sha256 != digest:
            raise StoredBytesDifferError(
                f"{kind} {to_hex(uid)} is stored with SHA-256 {there.sha256.hex()}, offered with {digest.hex()}"
            )
        if there is not None:
            self.get(kind, uid)
            return there
        item = StoredItem(kind=kind, uid=uid, sha256=digest, size=len(content))
        try:
            place = self._path(item)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, content, mode=OWNER_ONLY)
        except OSError as error:
            raise StoreFailure(f"cannot store {kind} {to_hex(uid)}: {error}") from error
        return item

    def get(self, kind: ItemKind, uid: Hash32) -> bytes:
        item = self.find(kind, uid)
        if item is None:
            raise ItemNotStoredError(f"no {kind} {to_hex(uid)} in {self._folder}")
        return self.read(item)

    def get_all(self, kind: ItemKind, uids: Sequence[Hash32]) -> Iterator[bytes]:
        return (self.get(kind, uid) for uid in uids)

    def read(self, item: StoredItem) -> bytes:
        path = self._path(item)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreFailure(f"cannot read {path}: {error}") from error
        if hashlib.sha256(content).digest() != item.sha256:
            raise StoredBytesDifferError(f"{path} does not have the SHA-256 in its name: its bytes were changed")
        return content

    def find(self, kind: ItemKind, uid: Hash32) -> StoredItem | None:
        shelf, begin, end = self._shelf(kind, uid), f"{uid.hex()}.", _SUFFIX[kind]
        try:
            with os.scandir(shelf) as entries:  # a glob compiles a pattern for each uid, which costs more than the file
                names = [entry.name for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = sorted(name for name in names if name.startswith(begin) and name.endswith(end))
        return self._item(kind, shelf / found[0]) if found else None

    def exists(self, kind: ItemKind, uid: Hash32) -> bool:
        return self.find(kind, uid) is not None

    def list(self, kind: ItemKind) -> Iterator[StoredItem]:
        last = None
        for path in sorted((self._folder / kind).glob(f"??/*{_SUFFIX[kind]}")):
            item = self._item(kind, path)
            if item.uid != last:
                yield item
            last = item.uid

    def verify(self) -> Iterator[str]:
        """Read everything that is stored; one sentence for each item that is not what was stored."""
        for kind in ItemKind:
            for item in self.list(kind):
                try:
                    self.read(item)
                except StoredBytesDifferError as error:
                    yield error.what

    def _shelf(self, kind: ItemKind, uid: Hash32) -> Path:
        return self._folder / kind / uid.hex()[:2]

    def _path(self, item: StoredItem) -> Path:
        return self._shelf(item.kind, item.uid) / f"{item.uid.hex()}.{item.sha256.hex()}{_SUFFIX[item.kind]}"

    def _item(self, kind: ItemKind, path: Path) -> StoredItem:
        try:
            uid, digest, _ = path.name.split(".")
            names = bytes.fromhex(uid), bytes.fromhex(digest)
        except ValueError as error:
            raise StoredBytesDifferError(f"{path} is not named as this store names its files") from error
        return StoredItem(kind=kind, uid=Hash32(names[0]), sha256=names[1], size=path.stat().st_size)


def store_batch(store: EvidenceStore, batch: "SignedBatch", domain: "Domain") -> StoredItem:
    """Store a batch as Parquet under its uid; one that is there already is left as it is.

    The records must have been checked against the signed root before: the uid does not cover the file.
    """
    from ledger.evidence.storage.batch_files import write_batch

    return _kept(store, ItemKind.BATCH, batch.uid, lambda: write_batch(batch, domain))


def store_registration(store: EvidenceStore, signed: "SignedRegistration", domain: "Domain") -> StoredItem:
    """Store a registration under its uid; one that is there already is left as it is."""
    from ledger.evidence.storage.item_files import write_registration

    return _kept(store, ItemKind.REGISTRATION, signed.uid, lambda: write_registration(signed, domain))


def store_revocation(store: EvidenceStore, signed: "SignedRevocation", domain: "Domain") -> StoredItem:
    """Store a revocation under its uid; one that is there already is left as it is."""
    from ledger.evidence.storage.item_files import write_revocation

    return _kept(store, ItemKind.REVOCATION, signed.uid, lambda: write_revocation(signed, domain))


def _kept(store: EvidenceStore, kind: ItemKind, uid: Hash32, written: Callable[[], bytes]) -> StoredItem:
    """What is kept under the uid: this item, or the one that was first.

    A uid leaves the signature out, and a key can sign one item in many valid ways: whichever came first is the item.
    """
    there = store.find(kind, uid)
    if there is not None:
        return there
    try:
        return store.put(kind, uid, written())
    except StoredBytesDifferError:
        there = store.find(kind, uid)
        if there is None:
            raise
        return there


def stored_batch(store: EvidenceStore, uid: Hash32, domain: "Domain") -> "SignedBatch":
    """A batch out of the store. Its records are fetched anew each time, so that thousands fit in memory.

    Raises StoredBytesDifferError when the stored file is another batch.
    """
    from ledger.evidence.items.batch import SignedBatch
    from ledger.evidence.storage.batch_files import read_batch

    batch = read_batch(store.get(ItemKind.BATCH, uid), domain)
    if batch.uid != uid:
        raise StoredBytesDifferError(f"the file of batch {to_hex(uid)} holds batch {to_hex(batch.uid)}")
    return SignedBatch(
        uid=uid,
        header=batch.header,
        signature=batch.signature,
        source=lambda: read_batch(store.get(ItemKind.BATCH, uid), domain).records(),
    )
