"""The index of evidence: what was taken in, what was refused at the door, what an epoch's freeze took."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Select, bindparam, func, or_, select
from sqlalchemy.orm import Session

from ledger.db.schema import table_of
from ledger.db.serial import one_at_a_time
from ledger.db.tables.items import ItemRow, RefusalRow
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp

REGISTRATION = "registration"
_REFUSALS: Final = table_of(RefusalRow)
_LAST_REFUSAL: Final = select(func.max(_REFUSALS.c.number))

_REGISTRATION_UIDS: Final = (
    select(ItemRow.uid)
    .where(ItemRow.kind == REGISTRATION, ItemRow.received_at < bindparam("before"))
    .order_by(ItemRow.uid)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One validly signed item as indexed."""

    arrival: int
    uid: Hash32
    kind: str
    schema: str
    signer: Address
    epoch: EpochNumber | None
    sequence: int | None
    received_at: Timestamp
    file_digest: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorRefusal:
    """One submission that was refused at the door."""

    number: int
    uid: Hash32 | None
    kind: str
    signer: Address | None
    epoch: EpochNumber | None
    code: str
    detail: str
    received_at: Timestamp


def find(session: Session, uid: Hash32) -> Item | None:
    """The item with this digest, or None."""
    row = session.execute(select(ItemRow).where(ItemRow.uid == uid)).scalar_one_or_none()
    return None if row is None else _item(row)


def record_item(
    session: Session,
    *,
    uid: Hash32,
    kind: str,
    schema: str,
    signer: Address,
    epoch: EpochNumber | None,
    sequence: int | None,
    received_at: Timestamp,
    file_digest: Hash32,
) -> int:
    """Index a stored item; its number of arrival."""
    one_at_a_time(session, "items")
    arrival = last_arrival(session) + 1
    session.add(
        ItemRow(
            arrival=arrival,
            uid=uid,
            kind=str(kind),
            schema=schema,
            signer=signer,
            epoch=epoch,
            sequence=sequence,
            received_at=received_at,
            file_digest=file_digest,
        )
    )
    session.flush()
    return arrival


def last_arrival(session: Session) -> int:
    """The number of the newest item; 0 before the first."""
    return int(session.execute(select(func.max(ItemRow.arrival))).scalar_one() or 0)


def frozen_items(session: Session, *, epoch: EpochNumber, start: Timestamp, last_arrival: int) -> list[Item]:
    """What an epoch is computed from: its batches and revocations, and registrations received before it began."""
    rows = session.execute(
        select(ItemRow)
        .where(
            ItemRow.arrival <= last_arrival,
            or_(ItemRow.epoch == epoch, (ItemRow.kind == REGISTRATION) & (ItemRow.received_at < start)),
        )
        .order_by(ItemRow.uid)
    ).scalars()
    return [_item(row) for row in rows]


def registration_uids(session: Session, *, before: Timestamp) -> list[Hash32]:
    """Digests of the registrations that were received before a second, ascending."""
    return [Hash32(uid) for uid in session.execute(_REGISTRATION_UIDS, {"before": before}).scalars()]


def items(
    session: Session,
    *,
    kind: str | None = None,
    epoch: EpochNumber | None = None,
    signer: Address | None = None,
    schema: str | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[Item]:
    """Indexed items behind an arrival, by arrival, at most `limit`, filtered."""
    query = select(ItemRow).where(ItemRow.arrival > after).order_by(ItemRow.arrival).limit(limit)
    if kind is not None:
        query = query.where(ItemRow.kind == kind)
    if epoch is not None:
        query = query.where(ItemRow.epoch == epoch)
    if signer is not None:
        query = query.where(ItemRow.signer == signer)
    if schema is not None:
        query = query.where(ItemRow.schema == schema)
    return [_item(row) for row in session.execute(query).scalars()]


def record_refusal(
    session: Session,
    *,
    uid: Hash32 | None,
    kind: str,
    signer: Address | None,
    epoch: EpochNumber | None,
    code: str,
    detail: str,
    received_at: Timestamp,
    file_digest: Hash32 | None,
) -> int:
    """Keep a refused submission; its number. The same refusal of the same bytes is kept once."""
    one_at_a_time(session, "refusals")
    known = select(RefusalRow.number).where(RefusalRow.code == code, RefusalRow.detail == detail)
    known = known.where(RefusalRow.uid == uid) if uid else known.where(RefusalRow.file_digest == file_digest)
    there = session.execute(known.limit(1)).scalar_one_or_none()
    if there is not None:
        return there
    number = last_refusal(session) + 1
    session.add(
        RefusalRow(
            number=number,
            uid=uid,
            kind=kind,
            signer=signer,
            epoch=epoch,
            code=code,
            detail=detail,
            received_at=received_at,
            file_digest=file_digest,
        )
    )
    session.flush()
    return number


def refusals(
    session: Session,
    *,
    epoch: EpochNumber | None = None,
    uid: Hash32 | None = None,
    signers: Collection[Address] | None = None,
    code: str | None = None,
    after: int = 0,
    up_to: int | None = None,
    limit: int | None = None,
) -> list[DoorRefusal]:
    """Submissions refused at the door behind a number, up to one, in order, at most `limit`, filtered."""
    chosen = None if signers is None else sorted(signers)
    asked = {"epoch": epoch, "uid": uid, "signers": chosen, "code": code, "up_to": up_to, "at_most": limit}
    given = {name: value for name, value in asked.items() if value is not None}
    return [
        DoorRefusal(
            number=row.number,
            uid=None if row.uid is None else Hash32(row.uid),
            kind=row.kind,
            signer=None if row.signer is None else Address(row.signer),
            epoch=None if row.epoch is None else EpochNumber(row.epoch),
            code=row.code,
            detail=row.detail,
            received_at=Timestamp(row.received_at),
        )
        for row in session.execute(_refusals(frozenset(given)), {"after": after, **given})
    ]


def last_refusal(session: Session) -> int:
    """The number of the last refusal, 0 before the first; whatever is committed later has a higher one."""
    return int(session.execute(_LAST_REFUSAL).scalar_one() or 0)


@cache
def _refusals(given: frozenset[str]) -> Select[Any]:
    """The question with these filters, built once: building it costs more than most databases need to answer it."""
    filters = {
        "epoch": _REFUSALS.c.epoch == bindparam("epoch"),
        "uid": _REFUSALS.c.uid == bindparam("uid"),
        "signers": _REFUSALS.c.signer.in_(bindparam("signers", expanding=True)),
        "code": _REFUSALS.c.code == bindparam("code"),
        "up_to": _REFUSALS.c.number <= bindparam("up_to"),
    }
    query = select(_REFUSALS).where(_REFUSALS.c.number > bindparam("after")).order_by(_REFUSALS.c.number)
    query = query.where(*(condition for name, condition in filters.items() if name in given))
    return query.limit(bindparam("at_most")) if "at_most" in given else query


def _item(row: ItemRow) -> Item:
    return Item(
        arrival=row.arrival,
        uid=Hash32(row.uid),
        kind=row.kind,
        schema=row.schema,
        signer=Address(row.signer),
        epoch=None if row.epoch is None else EpochNumber(row.epoch),
        sequence=row.sequence,
        received_at=Timestamp(row.received_at),
        file_digest=Hash32(row.file_digest),
    )
