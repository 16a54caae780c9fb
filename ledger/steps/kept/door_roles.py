"""Who may attest in an epoch, as far as the door can know it: from the moment the epoch's roles block is final (R1.3).

What the chain has not settled yet, or does not tell just now, is no reason to send anybody away: the freeze judges.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.evidence.judging.roles import RoleBook
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, Timestamp

if TYPE_CHECKING:
    from ledger.db.engine import Database
    from ledger.steps.settlement import Settlement

PATIENCE_SECONDS: Final = 30
"""So long after a failed look the chain is not asked again: a dead node must not slow every submission down."""
MAX_BOOKS: Final = 16
"""More epochs than can be open at once; older ones are forgotten."""


@dataclass(slots=True)
class DoorRoles:
    """The roles of epochs whose roles block is final, each read from the chain once."""

    _books: dict[EpochNumber, RoleBook] = field(default_factory=dict)
    _ask_from: Timestamp = Timestamp(0)  # noqa: RUF009 - a plain integer

    def known(
        self,
        epoch: EpochNumber,
        start: Timestamp,
        now: Timestamp,
        database: "Database",
        connect: "Callable[[], Settlement]",
    ) -> RoleBook | None:
        """The roles of the epoch that starts at `start`; None while they are not final, or cannot be read."""
        found = self._books.get(epoch)
        if found is not None or now < self._ask_from:
            return found
        try:
            found = self.learn(epoch, start, database, connect)
        except LedgerError:  # also a keystore that is not here: whoever takes evidence in need not be able to publish
            found = None
        if found is None:
            self._ask_from = Timestamp(now + PATIENCE_SECONDS)
        return found

    def learn(
        self, epoch: EpochNumber, start: Timestamp, database: "Database", connect: "Callable[[], Settlement]"
    ) -> RoleBook | None:
        """Read the epoch's roles now, to be known from here on; None while they are not final.

        Raises the chain's errors: for whoever would rather wait for the chain than leave strangers to the freeze.
        """
        found = _read(database, connect(), start)
        if found is not None:
            self._books[epoch] = found
            for oldest in sorted(self._books)[:-MAX_BOOKS]:
                del self._books[oldest]
        return found


def _read(database: "Database", settlement: "Settlement", start: Timestamp) -> RoleBook | None:
    from ledger.chain.following.governance import final_governance

    found = final_governance(database, settlement.connection, settlement.deployment, settlement.finality, start)
    return None if found is None else found.roles
