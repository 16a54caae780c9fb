"""Everything a step needs, opened once and passed in: database, evidence, artefacts, clock, calendar, chain."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger.db.engine import Database
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.storage.store import EvidenceStore
from ledger.model.clock import Clock
from ledger.model.epoch import EpochCalendar
from ledger.steps.kept.artefact_store import ArtefactStore
from ledger.steps.kept.door_roles import DoorRoles
from ledger.steps.kept.remembered import Remembered
from ledger.steps.settlement import Settlement

if TYPE_CHECKING:  # the chain's packages cost start-up time that reads of the books need not pay
    pass

_REGISTRATIONS_REMEMBERED: Final = 20_000


@dataclass(slots=True, kw_only=True)
class Ledger:
    """One open ledger. `settlement()` connects on first use, so that reads of the books need no chain."""

    database: Database
    evidence: EvidenceStore
    artefacts: ArtefactStore
    clock: Clock
    calendar: EpochCalendar
    domain: Domain
    connect: Callable[[], Settlement]
    disconnect: Callable[[], None] = lambda: None
    cache: Path | None = None
    """Where files derived from the ledger's own may be kept; anybody may delete them. None: a passing folder."""
    remembered: Remembered = field(default_factory=Remembered, init=False, repr=False)
    nodes_registered: Remembered = field(
        default_factory=lambda: Remembered(at_most=_REGISTRATIONS_REMEMBERED), init=False, repr=False
    )
    """Which node a registration is for, by its uid."""
    door_roles: DoorRoles = field(default_factory=DoorRoles, init=False, repr=False)
    _settlement: Settlement | None = field(default=None, init=False, repr=False)

    def settlement(self) -> Settlement:
        """The chain side; raises the chain's own errors when it cannot be reached."""
        if self._settlement is None:
            self._settlement = self.connect()
        return self._settlement

    def close(self) -> None:
        """Give the database and the chain back, and whatever is held open to answer from."""
        self.remembered.clear()
        self.database.close()
        self.disconnect()
