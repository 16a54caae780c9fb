"""Differences on record: which stand open, that nothing is paid while one does, and how one is cleared.

A difference is booked with its evidence and stays until a person undoes the entry with a reason. What counts as
open is the entry, not the account's balance: two differences that cancel out are two differences.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.books.log_entries import undo_entry
from ledger.books.posting import EntryKind
from ledger.books.verify import JournalEntry
from ledger.db import journal
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError, NotFoundError
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.transition import Waiting
from ledger.tree.canonical import integer_of, parse_canonical

PREFIX = "suspense/"


class SuspenseOpenError(MismatchError):
    """Differences that reconciliation found are not explained yet; nothing new is sealed, proposed or activated."""

    code = "reconcile.suspense"
    default_hint = (
        "ath-ledger audit journal --kind suspense shows them; find the cause, then"
        " ath-ledger audit clear-suspense KEY --reason TEXT, and ath-ledger audit reconcile again"
    )


class NoSuchSuspenseError(NotFoundError):
    """No difference is booked under this key."""

    code = "reconcile.no-such-suspense"
    default_hint = "ath-ledger audit journal --kind suspense"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDifference:
    """A booked difference that nobody has cleared."""

    seq: int
    key: str
    account: str
    difference: int
    """Chain − books, in wei or µg."""


def open_differences(session: Session) -> tuple[OpenDifference, ...]:
    """Every booked difference without its reversal, oldest first."""
    return tuple(
        _open(entry)
        for entry in journal.entries(session, kind=EntryKind.SUSPENSE)
        if journal.find(session, f"reversal/{entry.key}") is None
    )


def held_up(ledger: Ledger, epoch: EpochNumber, state: EpochState) -> Waiting | None:
    """Why an epoch may not pay now; None when nothing stands in suspense."""
    with ledger.database.reading() as session:
        found = open_differences(session)
    if not found:
        return None
    first = found[0]
    why = (
        f"new payouts rest: {len(found)} differences stand in suspense, first {first.key} ({first.account} by"
        f" {first.difference}); Next: ath-ledger doctor"
    )
    return Waiting(epoch=epoch, state=state, why=why)


def clear(ledger: Ledger, key: str, reason: str) -> tuple[JournalEntry, bool]:
    """Undo a booked difference, with a person's reason on record; the entry, and whether it was made just now.

    A difference that is still there is found again by the next reconciliation. Raises NoSuchSuspenseError, and
    BalanceRuleError when the books cannot go back behind what was booked since.
    """
    name = key if key.startswith(PREFIX) else PREFIX + key
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        booked = journal.find(session, name)
        if booked is None or booked.kind is not EntryKind.SUSPENSE:
            raise NoSuchSuspenseError(f"the journal has no difference {name}")
        there = journal.find(session, f"reversal/{name}")
        if there is not None:
            return there, False
        undo = undo_entry(
            undone_key=name,
            undone_hash=booked.hash,
            undone_transfers=journal.transfers(session, booked.seq),
            reason=reason,
            effective_at=now,
        )
        return journal.append(session, undo, recorded_at=now), True


def _open(entry: JournalEntry) -> OpenDifference:
    body = parse_canonical(entry.canonical)["body"]
    return OpenDifference(
        seq=entry.seq, key=entry.key, account=str(body["account"]), difference=integer_of(body["difference"])
    )
