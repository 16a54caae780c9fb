"""Corrections as they were prepared, and which of them the journal has booked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.db import journal
from ledger.db.tables.corrections import CorrectionRow
from ledger.db.tables.journal import JournalEntryRow
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp, Wei, from_hex, to_hex
from ledger.tree.canonical import canonical_json


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCorrection:
    """One correction of an epoch's claim tree."""

    epoch: EpochNumber
    number: int
    """From 1 for each epoch."""
    header_hash: Hash32
    ledger_head: Hash32
    header: Mapping[str, Any]
    """The correction header as a document, as `header_document` writes it."""
    leaves: Mapping[Address, Wei]
    """Cumulative wei by operator, as the corrected tree has it."""
    reason: str


def correction_key(epoch: EpochNumber, number: int) -> str:
    """The business key of the entry that books a correction."""
    return f"epoch/{epoch}/supersede/{number}"


def record(session: Session, correction: StoredCorrection, *, recorded_at: Timestamp) -> None:
    """Keep a prepared correction; twice is harmless."""
    if find(session, correction.header_hash) is not None:
        return
    document = {
        "reason": correction.reason,
        "header": correction.header,
        "leaves": [[to_hex(account), str(amount)] for account, amount in sorted(correction.leaves.items())],
    }
    session.add(
        CorrectionRow(
            header_hash=correction.header_hash,
            ledger_head=correction.ledger_head,
            epoch=correction.epoch,
            number=correction.number,
            document=canonical_json(document),
            recorded_at=recorded_at,
        )
    )
    session.flush()


def find(session: Session, header_hash: Hash32) -> StoredCorrection | None:
    """The prepared correction with this header hash."""
    row = session.get(CorrectionRow, header_hash)
    return None if row is None else _stored(row)


def headed_by(session: Session, ledger_head: Hash32) -> StoredCorrection | None:
    """The prepared correction that the entry with this hash books."""
    row = session.execute(select(CorrectionRow).where(CorrectionRow.ledger_head == ledger_head)).scalar_one_or_none()
    return None if row is None else _stored(row)


def booked(session: Session, epoch: EpochNumber) -> StoredCorrection | None:
    """The correction that stands for the epoch: the last one the journal has; None where the seal stands."""
    header_hash = standing(session, epoch)
    return None if header_hash is None else find(session, header_hash)


def standing(session: Session, epoch: EpochNumber) -> Hash32 | None:
    """The header hash of the correction that stands for the epoch, without its leaves; None where the seal stands."""
    number = booked_count(session, epoch)
    if not number:
        return None
    query = select(CorrectionRow.header_hash).join(JournalEntryRow, JournalEntryRow.hash == CorrectionRow.ledger_head)
    found = session.execute(query.where(JournalEntryRow.key == correction_key(epoch, number))).scalar_one_or_none()
    return None if found is None else Hash32(found)


def booked_count(session: Session, epoch: EpochNumber) -> int:
    """How many corrections of the epoch the journal has."""
    number = 0
    while journal.find(session, correction_key(epoch, number + 1)) is not None:
        number += 1
    return number


def _stored(row: CorrectionRow) -> StoredCorrection:
    document = json.loads(row.document)
    return StoredCorrection(
        epoch=EpochNumber(row.epoch),
        number=row.number,
        header_hash=Hash32(row.header_hash),
        ledger_head=Hash32(row.ledger_head),
        header=document["header"],
        leaves={Address(from_hex(account, 20)): Wei(int(amount)) for account, amount in document["leaves"]},
        reason=document["reason"],
    )
