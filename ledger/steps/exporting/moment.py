"""As of when: a journal position, an epoch or a time, resolved to one journal position (E6.4)."""

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.db import journal
from ledger.db.tables.journal import JournalEntryRow
from ledger.model.errors import UsageError
from ledger.model.units import EpochNumber
from ledger.steps.auditing.epochs import require_sealed, seal_of
from ledger.steps.ledger import Ledger


def position_as_of(ledger: Ledger, *, seq: int | None, epoch: int | None, time: str | None) -> int | None:
    """The last entry of that moment; None for now.

    An epoch means right after its seal, a time what this ledger had booked by then. UsageError for more than one of
    the three, for a position beyond the last entry and for a time that cannot be read.
    """
    if sum(given is not None for given in (seq, epoch, time)) > 1:
        raise UsageError("--as-of, --as-of-epoch and --as-of-time exclude each other", hint="give one of them")
    if epoch is not None:
        require_sealed(ledger, EpochNumber(epoch))
    with ledger.database.reading() as session:
        last = int(journal.last_seq(session))
        if epoch is not None:
            return int(seal_of(session, EpochNumber(epoch)).seq)
        if time is not None:
            return _booked_by(session, seconds_of(time), last)
    if seq is not None and seq > last:
        raise UsageError(f"the last entry is seq {last}", hint="ath-ledger audit journal")
    return seq


def seconds_of(text: str) -> int:
    """Unix seconds of a number of them, or of an ISO 8601 moment; without an offset it is UTC."""
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no moment", hint="2023-06-15T14:00:00Z, or Unix seconds") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _booked_by(session: Session, at: int, last: int) -> int:
    """The entry before the first one that was booked later."""
    later = session.execute(select(func.min(JournalEntryRow.seq)).where(JournalEntryRow.recorded_at > at)).scalar_one()
    return last if later is None else int(later) - 1
