"""The standing at which an epoch became final: what is said about it then is true for ever."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.books.seal_entries import seal_key
from ledger.db import epochs, journal
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.answers.standing import LedgerStanding
from ledger.steps.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Finality:
    """How far what was answered about an epoch can change."""

    is_final: bool
    """Its statements, verdicts and totals never change again."""
    is_followed: bool
    """A later epoch is final too: no correction can replace its claim tree any more."""
    standing: LedgerStanding | None
    """The moment it became final: its activation's entry and block, the head its seal made. None before."""


NOT_FINAL = Finality(is_final=False, is_followed=False, standing=None)


def finality_of(ledger: Ledger, epoch: EpochNumber) -> Finality:
    """Whether an epoch is final, and since when; never raises for one that is not known."""
    following = EpochNumber(epoch + 1)
    with ledger.database.reading() as session:
        found = epochs.standings_between(session, epoch, following)
        here, after = found.get(epoch), found.get(following)
        if here is None or here.state is not EpochState.FINAL:
            return NOT_FINAL
        key = ("final standing", epoch, here.version)
        standing = ledger.remembered.get(key, lambda: _standing(session, epoch))
    is_followed = after is not None and after.state is EpochState.FINAL
    return Finality(is_final=True, is_followed=is_followed, standing=standing)


def _standing(session: Session, epoch: EpochNumber) -> LedgerStanding:
    attempt = epochs.current(session, epoch).attempt
    final = epochs.facts(session, epoch, EpochState.FINAL)
    sealed = epochs.facts(session, epoch, EpochState.SEALED)
    entry = journal.find(session, f"epoch/{epoch}/activation/{attempt}")
    booked = entry or journal.find(session, seal_key(epoch, attempt))
    return LedgerStanding(
        epoch=epoch, seq=0 if booked is None else booked.seq, block=int(final["block"]), head=str(sealed["sealHash"])
    )
