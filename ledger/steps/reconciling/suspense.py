"""Differences on record: which stand open, that nothing is paid while one does, and how one is cleared.

A difference is booked with its evidence and stays until a person undoes the entry with a reason. What counts as
open is the entry, not the account's balance: two differences that cancel out are two differences.
"""

from ledger.books.log_entries import undo_entry
from ledger.books.posting import EntryKind
from ledger.books.verify import JournalEntry
from ledger.db import journal
from ledger.model.errors import MismatchError, NotFoundError
from ledger.steps.ledger import Ledger

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
