"""Differences on record that nobody has cleared: while one stands, nothing is paid."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.books.posting import EntryKind
from ledger.books.verify import JournalEntry
from ledger.db import journal
from ledger.tree.canonical import integer_of, parse_canonical


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


def _open(entry: JournalEntry) -> OpenDifference:
    body = parse_canonical(entry.canonical)["body"]
    return OpenDifference(
        seq=entry.seq, key=entry.key, account=str(body["account"]), difference=integer_of(body["difference"])
    )
