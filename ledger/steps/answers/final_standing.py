"""The standing at which an epoch became final: what is said about it then is true for ever."""

from ledger.books.seal_entries import seal_key
from ledger.db import epochs, journal
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.answers.standing import LedgerStanding
from ledger.steps.ledger import Ledger


def final_standing(ledger: Ledger, epoch: EpochNumber) -> LedgerStanding:
    """The epoch, its activation's entry and block, and the head its seal made. RowMissingError before it is final."""
    with ledger.database.reading() as session:
        attempt = epochs.current(session, epoch).attempt
        final = epochs.facts(session, epoch, EpochState.FINAL)
        sealed = epochs.facts(session, epoch, EpochState.SEALED)
        entry = journal.find(session, f"epoch/{epoch}/activation/{attempt}")
        seal = journal.find(session, seal_key(epoch, attempt)) if entry is None else None
    booked = entry or seal
    return LedgerStanding(
        epoch=epoch, seq=0 if booked is None else booked.seq, block=int(final["block"]), head=str(sealed["sealHash"])
    )


def is_final(ledger: Ledger, epoch: EpochNumber) -> bool:
    """Whether the epoch is final: its statements, verdicts and totals never change again."""
    with ledger.database.reading() as session:
        return epochs.state_of(session, epoch) is EpochState.FINAL


def is_followed(ledger: Ledger, epoch: EpochNumber) -> bool:
    """Whether a later epoch is final too: from then on no correction can replace the epoch's claim tree."""
    with ledger.database.reading() as session:
        return epochs.state_of(session, EpochNumber(epoch + 1)) is EpochState.FINAL
