"""The evidence store inside the database, for ledgers whose machines share nothing else.

It keeps what `ledger.evidence.storage.store.EvidenceStore` promises; every `put` is a transaction of its own, durable
before the row that names the item commits.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import select

from ledger.db.blobs import put_blob
from ledger.db.engine import Database
from ledger.db.serial import one_at_a_time
from ledger.db.tables.blobs import BlobRow, StoredItemRow
from ledger.evidence.storage.store import ItemKind, ItemNotStoredError, StoredBytesDifferError, StoredItem
from ledger.model.units import Hash32, to_hex

_AT_ONCE: Final = 200
"""So many items are fetched together; a batch may have megabytes."""


class DatabaseStore:
    """An evidence store in the tables `stored_items` and `blobs`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, kind: ItemKind, uid: Hash32, content: bytes) -> StoredItem:
        digest = hashlib.sha256(content).digest()
        with self._database.transaction() as session:
            one_at_a_time(session, f"stored {kind} {uid.hex()}")
            there = session.get(StoredItemRow, (kind.value, uid))
            if there is not None and there.digest != digest:
                raise StoredBytesDifferError(
                    f"{kind} {to_hex(uid)} is stored with SHA-256 {there.digest.hex()}, offered with {digest.hex()}"
                )
            if there is None:
                session.add(
                    StoredItemRow(kind=kind.value, uid=uid, digest=put_blob(session, content), size=len(content))
                )
        item = StoredItem(kind=kind, uid=uid, sha256=digest, size=len(content))
        if there is not None:
            self.read(item)  # offered again is no proof that what is kept is still whole
        return item

    def get(self, kind: ItemKind, uid: Hash32) -> bytes:
        return next(self.get_all(kind, [uid]))

    def get_all(self, kind: ItemKind, uids: Sequence[Hash32]) -> Iterator[bytes]:
        for start in range(0, len(uids), _AT_ONCE):
            chunk = uids[start : start + _AT_ONCE]
            query = (
                select(StoredItemRow.uid, StoredItemRow.digest, BlobRow.content)
                .outerjoin(BlobRow, BlobRow.digest == StoredItemRow.digest)
                .where(StoredItemRow.kind == kind.value, StoredItemRow.uid.in_(chunk))
            )
            with self._database.reading() as session:
                found = {row.uid: row for row in session.execute(query)}
            for uid in chunk:
                row = found.get(uid)
                if row is None:
                    raise ItemNotStoredError(f"no {kind} {to_hex(uid)} in {self._database.place}")
                yield _checked(kind, uid, row.digest, row.content)

    def read(self, item: StoredItem) -> bytes:
        with self._database.reading() as session:
            content = session.execute(select(BlobRow.content).where(BlobRow.digest == item.sha256)).scalar_one_or_none()
        return _checked(item.kind, item.uid, item.sha256, content)

    def find(self, kind: ItemKind, uid: Hash32) -> StoredItem | None:
        with self._database.reading() as session:
            row = session.get(StoredItemRow, (kind.value, uid))
            return None if row is None else _item(row)

    def exists(self, kind: ItemKind, uid: Hash32) -> bool:
        return self.find(kind, uid) is not None

    def list(self, kind: ItemKind) -> Iterator[StoredItem]:
        query = select(StoredItemRow).where(StoredItemRow.kind == kind.value).order_by(StoredItemRow.uid)
        with self._database.reading() as session:
            items = [_item(row) for row in session.execute(query).scalars()]
        yield from items


def _item(row: StoredItemRow) -> StoredItem:
    return StoredItem(kind=ItemKind(row.kind), uid=Hash32(row.uid), sha256=row.digest, size=row.size)


def _checked(kind: ItemKind, uid: Hash32, digest: bytes, content: bytes | None) -> bytes:
    """The content, if it has the digest it was stored with."""
    if content is None:
        raise StoredBytesDifferError(f"the bytes of {kind} {to_hex(uid)} are gone; their SHA-256 was {digest.hex()}")
    if hashlib.sha256(content).digest() != digest:
        raise StoredBytesDifferError(f"the bytes of {kind} {to_hex(uid)} were changed; they had SHA-256 {digest.hex()}")
    return bytes(content)
