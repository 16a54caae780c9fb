"""Where a batch is: refused at the door, admitted, and once its epoch is computed, the verdict on it."""

import io
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from ledger.db import artefacts as artefact_rows
from ledger.db import epochs, items
from ledger.db.items import DoorRefusal, Item
from ledger.evidence.files import read_revocation
from ledger.evidence.revocation import WHOLE_BATCH
from ledger.evidence.store import ItemKind
from ledger.evidence.verdicts import WHOLE_ITEM
from ledger.model.epoch import EpochState
from ledger.model.errors import NotFoundError
from ledger.model.refusals import REFUSALS
from ledger.model.units import Address, EpochNumber, Hash32, to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.transition import utc
from ledger.tree.keccak import checksum_address

VERDICTS = "verdicts"


class BatchUnknownError(NotFoundError):
    """No such batch has been sent to this ledger."""

    code = "batch.unknown"
    default_hint = "ath-ledger batch list"


def batch_rows(ledger: Ledger, epoch: EpochNumber | None, verifier: Address | None) -> list[dict[str, Any]]:
    """Admitted batches by arrival."""
    with ledger.database.reading() as session:
        found = items.items(session, kind=ItemKind.BATCH.value, epoch=epoch, signer=verifier)
    return [
        {
            "uid": to_hex(item.uid),
            "schema": item.schema,
            "epoch": item.epoch,
            "verifier": checksum_address(item.signer),
            "sequence": item.sequence,
            "received": utc(item.received_at),
        }
        for item in found
    ]


def batch_status(ledger: Ledger, uid: Hash32) -> dict[str, Any]:
    """Everything known about what became of a batch. Raises BatchUnknownError."""
    with ledger.database.reading() as session:
        item = items.find(session, uid)
        if item is not None and item.kind == ItemKind.BATCH.value:
            return _admitted(ledger, session, item)
        refusals = [each for each in items.refusals(session) if each.uid == uid]
    if not refusals:
        raise BatchUnknownError(f"no batch {to_hex(uid)} has been sent to this ledger")
    return _turned_away(refusals[-1])


def _turned_away(refusal: DoorRefusal) -> dict[str, Any]:
    return {
        "uid": to_hex(refusal.uid or b""),
        "standing": "refused at the door",
        "epoch": refusal.epoch,
        "code": refusal.code,
        "detail": refusal.detail,
        "remedy": REFUSALS[refusal.code].remedy,
        "received": utc(refusal.received_at),
    }


def _admitted(ledger: Ledger, session: Session, item: Item) -> dict[str, Any]:
    epoch = EpochNumber(item.epoch or 0)
    state = epochs.state_of(session, epoch)
    fact: dict[str, Any] = {
        "uid": to_hex(item.uid),
        "standing": "admitted",
        "epoch": epoch,
        "epoch_state": state.value,
        "schema": item.schema,
        "verifier": checksum_address(item.signer),
        "sequence": item.sequence,
        "received": utc(item.received_at),
        "revocations": _revocations(ledger, session, item, epoch),
    }
    verdicts = _verdicts(ledger, session, item, epoch)
    if verdicts is None:
        frozen = state is not EpochState.OPEN
        fact["verdict"] = "comes with the epoch's computation" + ("" if frozen else ", after its cut-off")
        return fact
    whole = verdicts.filter(pl.col("record") == WHOLE_ITEM)
    if not whole.height:
        fact["verdict"] = "none: it arrived after the freeze"
        return fact
    code = str(whole["code"][0])
    fact["verdict"] = "refused" if code else "accepted"
    fact["code"], fact["detail"] = code, str(whole["detail"][0])
    fact["remedy"] = REFUSALS[code].remedy if code else ""
    records = verdicts.filter(pl.col("record") != WHOLE_ITEM)
    fact["records_refused"] = {
        str(name): int(count) for name, count in records.group_by("code").len().sort("code").iter_rows()
    }
    fact["refused"] = [
        {"record": record, "code": code, "detail": detail}
        for record, code, detail in records.select("record", "code", "detail").iter_rows()
    ]
    return fact


def _verdicts(ledger: Ledger, session: Session, item: Item, epoch: EpochNumber) -> pl.DataFrame | None:
    """The verdicts on one batch and its records; None before the epoch's present attempt is computed."""
    if epochs.state_of(session, epoch) is EpochState.OPEN:
        return None
    attempt = epochs.current(session, epoch).attempt
    if artefact_rows.artefact(session, epoch=epoch, attempt=attempt, kind=VERDICTS) is None:
        return None
    frame = pl.read_parquet(io.BytesIO(ledger.artefacts.read(session, epoch, attempt, VERDICTS)))
    return frame.filter(pl.col("item") == bytes(item.uid))


def _revocations(ledger: Ledger, session: Session, item: Item, epoch: EpochNumber) -> list[str]:
    found = []
    for each in items.items(session, kind=ItemKind.REVOCATION.value, epoch=epoch):
        content = ledger.evidence.get(ItemKind.REVOCATION, each.uid)
        revocation = read_revocation(content, ledger.domain).revocation
        if revocation.batch_uid == item.uid:
            what = "whole batch" if revocation.record == WHOLE_BATCH else f"record {revocation.record}"
            found.append(f"{what}, reason {revocation.reason}")
    return found
