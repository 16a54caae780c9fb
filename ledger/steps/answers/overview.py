"""Epochs as a person reads them: one line each, or one whole."""

from typing import Any

from sqlalchemy.orm import Session

from ledger.db import artefacts, epochs, items, outbox
from ledger.db.epochs import EpochStanding
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.answers.epoch_document import epoch_document
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.totals import totals_of
from ledger.steps.transitions.transition import utc


def epoch_rows(ledger: Ledger) -> list[dict[str, Any]]:
    """Every epoch named so far with its state and, once computed, its totals."""
    with ledger.database.reading() as session:
        return [_row(ledger, session, standing) for standing in epochs.all_standings(session)]


def epoch_page(ledger: Ledger, after: int | None, limit: int, state: EpochState | None = None) -> list[dict[str, Any]]:
    """The rows of the epochs after one, ascending, at most so many; of one state, or of all."""
    with ledger.database.reading() as session:
        found = [
            each
            for each in epochs.all_standings(session)
            if (after is None or each.epoch > after) and (state is None or each.state is state)
        ]
        return [_row(ledger, session, standing) for standing in found[:limit]]


def epoch_fact(ledger: Ledger, epoch: EpochNumber) -> dict[str, Any]:
    """One epoch: its window, what every transition recorded, transactions, verdicts, files."""
    return epoch_document(epoch_summary(ledger, epoch), transition_rows(ledger, epoch))


def epoch_summary(ledger: Ledger, epoch: EpochNumber) -> dict[str, Any]:
    """One epoch without its transitions. Raises RowMissingError for one that was never named."""
    with ledger.database.reading() as session:
        standing = epochs.current(session, epoch)
        counts = epochs.verdict_counts(session, epoch, standing.attempt)
        return {
            **_row(ledger, session, standing),
            "starts": utc(ledger.calendar.start(epoch)),
            "ends": utc(ledger.calendar.end(epoch)),
            "cut_off": utc(ledger.calendar.cut_off(epoch)),
            "reason": standing.reason,
            "transactions": [_transaction(session, key) for key in _outbox_keys(session, epoch)],
            "verdicts": {f"{scope}: {code or 'accepted'}": count for (scope, code), count in counts.items()},
            "refused_at_the_door": _door_refusals(session, epoch),
            "files": [file.path for file in artefacts.artefacts(session, epoch=epoch)],
        }


def transition_rows(ledger: Ledger, epoch: EpochNumber) -> list[dict[str, Any]]:
    """Every transition of an epoch in order, with the facts it was decided on. Raises RowMissingError."""
    with ledger.database.reading() as session:
        epochs.current(session, epoch)
        return [
            {
                "number": event.number,
                "state": event.state.value,
                "attempt": event.attempt,
                "at": utc(event.recorded_at),
                "reason": event.reason,
                "facts": dict(event.facts),
            }
            for event in epochs.events(session, epoch)
        ]


def _row(ledger: Ledger, session: Session, standing: EpochStanding) -> dict[str, Any]:
    row: dict[str, Any] = {
        "epoch": standing.epoch,
        "day": utc(ledger.calendar.start(standing.epoch))[:10],
        "state": standing.state.value,
        "attempt": standing.attempt,
        "payout_wei": None,
        "carbon_wei": None,
        "reserve_wei": None,
        "rollover_wei": None,
    }
    if any(event.state is EpochState.COMPUTED for event in epochs.events(session, standing.epoch)):
        totals = totals_of(session, standing.epoch)
        row |= {
            "payout_wei": totals.payout_wei,
            "carbon_wei": totals.carbon_wei,
            "reserve_wei": totals.reserve_wei,
            "rollover_wei": totals.rollover_out_wei,
        }
    return row


def _outbox_keys(session: Session, epoch: EpochNumber) -> list[str]:
    return [str(event.facts["outboxKey"]) for event in epochs.events(session, epoch) if "outboxKey" in event.facts]


def _transaction(session: Session, key: str) -> dict[str, Any]:
    entry = outbox.entry(session, key)
    return {
        "key": entry.key,
        "state": entry.state.value,
        "nonce": entry.nonce,
        "transaction": None if entry.tx_hash is None else to_hex(entry.tx_hash),
        "block": entry.block_number,
    }


def _door_refusals(session: Session, epoch: EpochNumber) -> dict[str, int]:
    counts: dict[str, int] = {}
    for refusal in items.refusals(session, epoch=epoch):
        counts[refusal.code] = counts.get(refusal.code, 0) + 1
    return dict(sorted(counts.items()))
