"""The index of the evidence: every row says of its file what the file says of itself."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference
from ledger.db.tables.blobs import BlobRow, StoredItemRow
from ledger.db.tables.items import ItemRow
from ledger.evidence.items.signing import recover_signer
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.storage.batch_files import read_batch
from ledger.evidence.storage.item_files import read_registration, read_revocation
from ledger.evidence.storage.store import ItemKind, stored_batch
from ledger.model.errors import LedgerError
from ledger.model.units import Hash32, to_hex
from ledger.steps.auditing.rows.faults import absent, gaps, unequal
from ledger.steps.ledger import Ledger

_READERS: Final[Mapping[ItemKind, Callable[[bytes, Domain], Any]]] = {
    ItemKind.BATCH: read_batch,
    ItemKind.REGISTRATION: read_registration,
    ItemKind.REVOCATION: read_revocation,
}


def item_faults(ledger: Ledger, session: Session) -> Iterator[Difference]:
    """`items`: arrivals without gaps; kind, schema, signer, epoch and sequence as signed."""
    rows = list(session.execute(select(ItemRow).order_by(ItemRow.arrival)).scalars())
    yield from gaps("items", "arrival", [row.arrival for row in rows], 1)
    for row in rows:
        name = f"items, arrival {row.arrival}"
        try:
            expected = _signed(ledger, ItemKind(row.kind), Hash32(row.uid))
        except (LedgerError, ValueError) as error:
            what = error.what if isinstance(error, LedgerError) else str(error)
            yield Difference(where=name, expected="an item that can be read", found=what[:400])
            continue
        yield from unequal(name, expected, row)


def stored_faults(session: Session, domain: Domain) -> Iterator[Difference]:
    """`blobs`: each has the size and the SHA-256 it is kept under; `stored_items`: each names the item it holds."""
    blobs: dict[bytes, int] = {}
    for digest, size, content in session.execute(select(BlobRow.digest, BlobRow.size, BlobRow.content)).yield_per(64):
        found = Hash32(hashlib.sha256(content).digest())
        if found != digest or len(content) != size:
            where = f"blobs, {to_hex(digest)}"
            yield Difference(where=where, expected=f"{size} bytes", found=f"{len(content)} bytes of {to_hex(found)}")
        blobs[bytes(digest)] = size
    for row in session.execute(select(StoredItemRow).order_by(StoredItemRow.kind, StoredItemRow.uid)).scalars():
        name = f"stored_items, {row.kind} {to_hex(row.uid)}"
        if bytes(row.digest) not in blobs:
            yield absent(f"blobs, {to_hex(row.digest)}")
        else:
            yield from unequal(name, {"size": blobs[bytes(row.digest)]}, row)
            yield from _named(session, domain, row, name)


def _named(session: Session, domain: Domain, row: StoredItemRow, name: str) -> Iterator[Difference]:
    """Whether the bytes are the item they are kept as."""
    content = session.execute(select(BlobRow.content).where(BlobRow.digest == row.digest)).scalar_one()
    try:
        uid = _READERS[ItemKind(row.kind)](content, domain).uid
    except (LedgerError, ValueError) as error:
        what = error.what if isinstance(error, LedgerError) else str(error)
        yield Difference(where=f"{name} · kind", expected="an item of this kind", found=what[:200])
        return
    if uid != row.uid:
        yield Difference(where=f"{name} · uid", expected=to_hex(uid), found=to_hex(row.uid))


def _signed(ledger: Ledger, kind: ItemKind, uid: Hash32) -> dict[str, Any]:
    """The columns that follow from the item itself."""
    store, domain = ledger.evidence, ledger.domain
    found = store.find(kind, uid)
    digest = {"file_digest": found.sha256 if found else None}
    match kind:
        case ItemKind.BATCH:
            header = stored_batch(store, uid, domain).header
            schema = header.schema.title if header.schema else ""
            signed = {"schema": schema, "signer": header.verifier, "epoch": header.epoch, "sequence": header.sequence}
        case ItemKind.REGISTRATION:
            registration = read_registration(store.get(kind, uid), domain).registration
            signed = {"schema": "", "signer": registration.operator, "epoch": None, "sequence": None}
        case ItemKind.REVOCATION:
            item = read_revocation(store.get(kind, uid), domain)
            named = stored_batch(store, item.revocation.batch_uid, domain).header
            signer = recover_signer(uid, item.signature)
            signed = {"schema": "", "signer": signer, "epoch": named.epoch, "sequence": None}
    return signed | digest
