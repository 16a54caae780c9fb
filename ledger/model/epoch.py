"""Epochs: fixed windows numbered from 0, and the states one passes through."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ledger.model.units import SECONDS_PER_HOUR, EpochNumber, Timestamp

SUBMISSION_GRACE_SECONDS = 24 * SECONDS_PER_HOUR
"""Evidence counts until this long after the epoch's end (rewards spec, acceptance: cut-off)."""


class EpochState(StrEnum):
    """Where an epoch stands: OPEN → FROZEN → COMPUTED → SEALED → PROPOSED → ACTIVE → FINAL."""

    OPEN = "open"
    FROZEN = "frozen"
    COMPUTED = "computed"
    SEALED = "sealed"
    PROPOSED = "proposed"
    ACTIVE = "active"
    FINAL = "final"
    REVOKED = "revoked"
    HALTED = "halted"


SEALED_STATES: Final = frozenset({EpochState.SEALED, EpochState.PROPOSED, EpochState.ACTIVE, EpochState.FINAL})
"""With a result in the books, a claim tree and a header."""
COMPUTED_STATES: Final = SEALED_STATES | {EpochState.COMPUTED}
"""With statements and verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochCalendar:
    """Which second belongs to which epoch. `genesis` and `length` are multiples of 3600 s, as on chain."""

    genesis: Timestamp
    length: int

    def __post_init__(self) -> None:
        if self.genesis % SECONDS_PER_HOUR or self.length % SECONDS_PER_HOUR or self.length <= 0:
            raise ValueError("genesis and epoch length must be whole hours")
        if self.length > 168 * SECONDS_PER_HOUR:
            raise ValueError("an epoch has at most 168 hours")

    @property
    def hours(self) -> int:
        """Hours in an epoch."""
        return self.length // SECONDS_PER_HOUR

    def start(self, epoch: EpochNumber) -> Timestamp:
        """First second of the epoch."""
        return Timestamp(self.genesis + epoch * self.length)

    def end(self, epoch: EpochNumber) -> Timestamp:
        """First second after the epoch."""
        return Timestamp(self.genesis + (epoch + 1) * self.length)

    def cut_off(self, epoch: EpochNumber) -> Timestamp:
        """Last second at which evidence of the epoch may be issued and arrive."""
        return Timestamp(self.end(epoch) + SUBMISSION_GRACE_SECONDS)

    def epoch_at(self, at: Timestamp) -> EpochNumber:
        """The epoch a second lies in; negative before genesis."""
        return EpochNumber((at - self.genesis) // self.length)
