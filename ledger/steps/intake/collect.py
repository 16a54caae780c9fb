"""Taking evidence in: every submission is stored or refused, and the sender is told which, at once.

The file is durable in the evidence store before the row that names it commits; what is refused is recorded with its
code and touches nothing else.
"""

import hashlib
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.db import epochs, items
from ledger.db.faultpoint import faultpoint
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.json_values import parse_json
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.revocation import SignedRevocation
from ledger.evidence.items.signing import recover_signer
from ledger.evidence.judging.admission import Item, admit
from ledger.evidence.judging.roles import RoleBook
from ledger.evidence.storage.batch_files import read_batch
from ledger.evidence.storage.item_files import (
    REGISTRATION_FORMAT,
    REVOCATION_FORMAT,
    read_registration,
    read_revocation,
)
from ledger.evidence.storage.store import ItemKind, store_batch, store_registration, store_revocation, stored_batch
from ledger.model.epoch import EpochState
from ledger.model.refusals import ItemRefusedError, refused
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp
from ledger.steps.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a submission. The final verdict on an admitted item comes with its epoch's computation."""

    uid: Hash32 | None
    kind: str
    epoch: EpochNumber | None
    is_admitted: bool
    is_new: bool
    code: str
    """The refusal's code; empty when admitted."""
    detail: str


def submit(ledger: Ledger, content: bytes, *, now: Timestamp | None = None) -> Receipt:
    """Take one file in: a batch (Parquet or JSON), a registration or a revocation. Twice is harmless.

    `now`: when it was received, where that was before it is judged.
    """
    now = ledger.clock.now() if now is None else now
    try:
        item = read_item(ledger, content)
    except ItemRefusedError as refusal:
        return _refuse(ledger, now, content, None, refusal)
    return submit_item(ledger, item, content=content, now=now)


def submit_item(ledger: Ledger, item: Item, *, content: bytes = b"", now: Timestamp | None = None) -> Receipt:
    """Take one item in that was read or signed already; `content` only proves what a refused sender sent."""
    now = ledger.clock.now() if now is None else now
    with ledger.database.reading() as session:
        if items.find(session, item.uid) is not None:
            return _admitted(item, _epoch_of(ledger, item), is_new=False)
    roles, named = _roles_for(ledger, item, now), _named_batch(ledger, item)
    refusal = admit(item, now, ledger.calendar, ledger.domain, roles=roles, revoked_batch=named)
    if refusal is not None:
        return _refuse(ledger, now, content, item, refusal)
    stored = _store(ledger, item)
    epoch = _epoch_of(ledger, item)
    faultpoint("collect.after_effect")
    try:
        with ledger.database.transaction() as session:
            if items.find(session, item.uid) is None:
                _require_open(session, epoch)
                items.record_item(
                    session,
                    uid=item.uid,
                    kind=_kind_of(item),
                    schema=_schema_of(item),
                    signer=_signer_of(item),
                    epoch=epoch,
                    sequence=item.header.sequence if isinstance(item, SignedBatch) else None,
                    received_at=now,
                    file_digest=Hash32(stored),
                )
            faultpoint("collect.before_commit")
    except ItemRefusedError as late:
        return _refuse(ledger, now, content, item, late)
    faultpoint("collect.after_commit")
    return _admitted(item, epoch, is_new=True)


def read_item(ledger: Ledger, content: bytes) -> Item:
    """The item in a file; refuses with `file.…` what is none."""
    match _format_of(content):
        case format_ if format_ == REGISTRATION_FORMAT:
            return read_registration(content, ledger.domain)
        case format_ if format_ == REVOCATION_FORMAT:
            return read_revocation(content, ledger.domain)
        case _:
            return read_batch(content, ledger.domain)


def is_revocation(content: bytes) -> bool:
    """Whether content says that it is a revocation; nothing more of it is read."""
    try:
        return _format_of(content) == REVOCATION_FORMAT
    except ItemRefusedError:
        return False


def _format_of(content: bytes) -> str:
    """What a JSON submission says it is; empty for everything else, which only a batch can be."""
    if content[:1] != b"{":
        return ""
    document = parse_json(content)
    return str(document.get("format", "")) if isinstance(document, dict) else ""


def _require_open(session: Session, epoch: EpochNumber | None) -> None:
    """After the freeze nothing enters an epoch, even if it was on its way before."""
    if epoch is None or epochs.state_of(session, epoch) is EpochState.OPEN:
        return
    raise refused("batch.late", f"epoch {epoch} is frozen")


def _refuse(ledger: Ledger, now: Timestamp, content: bytes, item: Item | None, refusal: ItemRefusedError) -> Receipt:
    kind = _kind_of(item).value if item else "file"
    epoch = _epoch_of(ledger, item) if item else None
    with ledger.database.transaction() as session:
        items.record_refusal(
            session,
            uid=item.uid if item else None,
            kind=kind,
            signer=_signer_of(item) if item else None,
            epoch=epoch,
            code=refusal.code,
            detail=refusal.what,
            received_at=now,
            file_digest=Hash32(hashlib.sha256(content).digest()) if content else None,
        )
    return Receipt(
        uid=item.uid if item else None,
        kind=kind,
        epoch=epoch,
        is_admitted=False,
        is_new=True,
        code=refusal.code,
        detail=refusal.what,
    )


def _admitted(item: Item, epoch: EpochNumber | None, *, is_new: bool) -> Receipt:
    kind = _kind_of(item).value
    return Receipt(uid=item.uid, kind=kind, epoch=epoch, is_admitted=True, is_new=is_new, code="", detail="")


def _store(ledger: Ledger, item: Item) -> bytes:
    """Keep the item's file; the digest of its bytes."""
    match item:
        case SignedBatch():
            return store_batch(ledger.evidence, item, ledger.domain).sha256
        case SignedRegistration():
            return store_registration(ledger.evidence, item, ledger.domain).sha256
        case SignedRevocation():
            return store_revocation(ledger.evidence, item, ledger.domain).sha256


def _roles_for(ledger: Ledger, item: Item, now: Timestamp) -> RoleBook | None:
    """The roles a batch can be judged by already. Only for epochs open now: a stranger may name any other."""
    if not isinstance(item, SignedBatch):
        return None
    epoch, calendar = item.header.epoch, ledger.calendar
    if epoch > calendar.epoch_at(now) or now > calendar.cut_off(epoch):
        return None
    return ledger.door_roles.known(epoch, calendar.start(epoch), now, ledger.database, ledger.settlement)


def _named_batch(ledger: Ledger, item: Item) -> SignedBatch | None:
    if not isinstance(item, SignedRevocation):
        return None
    uid = item.revocation.batch_uid
    if not ledger.evidence.exists(ItemKind.BATCH, uid):
        return None
    return stored_batch(ledger.evidence, uid, ledger.domain)


def _epoch_of(ledger: Ledger, item: Item) -> EpochNumber | None:
    """The epoch an item belongs to; a registration belongs to none."""
    if isinstance(item, SignedBatch):
        return item.header.epoch
    named = _named_batch(ledger, item)
    return named.header.epoch if named else None


def _kind_of(item: Item) -> ItemKind:
    match item:
        case SignedBatch():
            return ItemKind.BATCH
        case SignedRegistration():
            return ItemKind.REGISTRATION
        case SignedRevocation():
            return ItemKind.REVOCATION


def _schema_of(item: Item) -> str:
    schema = item.header.schema if isinstance(item, SignedBatch) else None
    return schema.title if schema else ""


def _signer_of(item: Item) -> Address:
    """Who is named as the signer; a revocation names nobody, so its signature is asked."""
    match item:
        case SignedBatch():
            return item.header.verifier
        case SignedRegistration():
            return item.registration.operator
        case SignedRevocation():
            return recover_signer(item.uid, item.signature)
