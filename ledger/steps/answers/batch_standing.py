"""Where a batch is: refused at the door, admitted, and once its epoch is computed, the verdict on it."""

from collections import Counter
from typing import Any

from sqlalchemy.orm import Session

from ledger.db import artefacts as artefact_rows
from ledger.db import epochs, items
from ledger.db.items import DoorRefusal, Item
from ledger.evidence.items.revocation import WHOLE_BATCH
from ledger.evidence.storage.store import ItemKind
from ledger.model.epoch import EpochState
from ledger.model.errors import NotFoundError
from ledger.model.refusals import REFUSALS
from ledger.model.units import Address, EpochNumber, Hash32, to_hex
from ledger.steps.answers.index.evidence_index import EvidenceIndex, evidence_index
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.transition import utc
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
    return [batch_row(item) for item in found]


def batch_row(item: items.Item) -> dict[str, Any]:
    """One admitted batch, as lists show it."""
    return {
        "uid": to_hex(item.uid),
        "schema": item.schema,
        "epoch": item.epoch,
        "verifier": checksum_address(item.signer),
        "sequence": item.sequence,
        "received": utc(item.received_at),
    }


def batch_status(ledger: Ledger, uid: Hash32) -> dict[str, Any]:
    """Everything known about what became of a batch. Raises BatchUnknownError."""
    with ledger.database.reading() as session:
        item = items.find(session, uid)
        if item is not None and item.kind == ItemKind.BATCH.value:
            return _admitted(ledger, session, item)
        refusals = items.refusals(session, uid=uid)
    if not refusals:
        raise BatchUnknownError(f"no batch {to_hex(uid)} has been sent to this ledger")
    return _turned_away(refusals[-1])


def _turned_away(refusal: DoorRefusal) -> dict[str, Any]:
    return {
        "uid": to_hex(refusal.uid or b""),
        "standing": "refused at the door",
        "epoch": refusal.epoch,
        **_reason(refusal),
        "received": utc(refusal.received_at),
    }


def _reason(refusal: DoorRefusal) -> dict[str, Any]:
    return {"code": refusal.code, "detail": refusal.detail, "remedy": REFUSALS[refusal.code].remedy}


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
    stranger = items.refusals(session, uid=item.uid, code="batch.role", limit=1)
    if stranger:  # taken in before the roles could be known, and left out by the freeze (R3.15)
        return fact | {"verdict": "refused", **_reason(stranger[0])}
    index = _evidence(ledger, session, epoch)
    if index is None:
        frozen = state is not EpochState.OPEN
        fact["verdict"] = "comes with the epoch's computation" + ("" if frozen else ", after its cut-off")
        return fact
    whole = index.find_batch(item.uid)
    if whole is None:
        fact["verdict"] = "none: it arrived after the freeze"
        return fact
    fact["verdict"] = "refused" if whole.code else "accepted"
    fact["code"], fact["detail"] = whole.code, whole.detail
    fact["remedy"] = REFUSALS[whole.code].remedy if whole.code else ""
    notes = index.notes(whole.number)
    fact["records_refused"] = dict(sorted(Counter(code for _, code, _ in notes).items()))
    fact["refused"] = [{"record": record, "code": code, "detail": detail} for record, code, detail in notes]
    return fact


def _evidence(ledger: Ledger, session: Session, epoch: EpochNumber) -> EvidenceIndex | None:
    """The verdicts of the epoch's present attempt; None before it is computed."""
    if epochs.state_of(session, epoch) is EpochState.OPEN:
        return None
    attempt = epochs.current(session, epoch).attempt
    if artefact_rows.artefact(session, epoch=epoch, attempt=attempt, kind=VERDICTS) is None:
        return None
    return evidence_index(ledger, session, epoch, attempt)


def _revocations(ledger: Ledger, session: Session, item: Item, epoch: EpochNumber) -> list[str]:
    from ledger.evidence.storage.item_files import read_revocation

    found = []
    for each in items.items(session, kind=ItemKind.REVOCATION.value, epoch=epoch):
        content = ledger.evidence.get(ItemKind.REVOCATION, each.uid)
        revocation = read_revocation(content, ledger.domain).revocation
        if revocation.batch_uid == item.uid:
            what = "whole batch" if revocation.record == WHOLE_BATCH else f"record {revocation.record}"
            found.append(f"{what}, reason {revocation.reason}")
    return found
