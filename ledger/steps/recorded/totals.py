"""The totals of a computed epoch, and what they carried over to the next one."""

from sqlalchemy.orm import Session

from ledger.db import epochs
from ledger.model.allocation import Opening, Totals
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, MicrogramsCo2e, Wei


def opening_of(session: Session, epoch: EpochNumber) -> Opening:
    """What the epoch before carried over; zero for epoch 0 (rewards spec R5.7)."""
    if epoch == 0:
        return Opening(rollover_in_wei=Wei(0), carried_in_ug=MicrogramsCo2e(0))
    before = totals_of(session, EpochNumber(epoch - 1))
    return Opening(rollover_in_wei=before.rollover_out_wei, carried_in_ug=before.carried_out_ug)


def totals_of(session: Session, epoch: EpochNumber) -> Totals:
    """The totals recorded when the epoch was computed."""
    stored = epochs.facts(session, epoch, EpochState.COMPUTED)["totals"]
    return Totals(**{name: int(value) for name, value in stored.items()})  # type: ignore[arg-type]
