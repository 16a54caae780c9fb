"""The index of evidence a page at a time, by arrival."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.db.items import DoorRefusal, Item
from ledger.db.tables.items import ItemRow, RefusalRow
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp


def item_page(
    session: Session,
    *,
    kind: str,
    after: int,
    limit: int,
    epoch: EpochNumber | None = None,
    signer: Address | None = None,
    schema: str | None = None,
) -> list[Item]:
    """Items of a kind that arrived after one, oldest first."""
    query = select(ItemRow).where(ItemRow.kind == kind, ItemRow.arrival > after).order_by(ItemRow.arrival).limit(limit)
    if epoch is not None:
        query = query.where(ItemRow.epoch == epoch)
    if signer is not None:
        query = query.where(ItemRow.signer == signer)
    if schema is not None:
        query = query.where(ItemRow.schema == schema)
    return [
        Item(
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
        for row in session.execute(query).scalars()
    ]


def refusal_page(
    session: Session,
    *,
    after: int,
    limit: int,
    epoch: EpochNumber | None = None,
    signer: Address | None = None,
    code: str | None = None,
) -> list[DoorRefusal]:
    """Submissions refused at the door after one, oldest first."""
    query = select(RefusalRow).where(RefusalRow.number > after).order_by(RefusalRow.number).limit(limit)
    if epoch is not None:
        query = query.where(RefusalRow.epoch == epoch)
    if signer is not None:
        query = query.where(RefusalRow.signer == signer)
    if code is not None:
        query = query.where(RefusalRow.code == code)
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
        for row in session.execute(query).scalars()
    ]
