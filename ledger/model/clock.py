"""Where time comes from: always a clock that is passed in, never the machine's by accident."""

import time
from dataclasses import dataclass
from typing import Protocol

from ledger.model.units import Timestamp


class Clock(Protocol):
    """Tells the time the ledger acts at."""

    def now(self) -> Timestamp:
        """Unix seconds, UTC."""
        ...


class SystemClock:
    """The machine's wall clock, for a ledger on a live network."""

    def now(self) -> Timestamp:
        return Timestamp(int(time.time()))


@dataclass(slots=True)
class FixedClock:
    """A clock that stands still until it is set: tests and replays."""

    at: Timestamp

    def now(self) -> Timestamp:
        return self.at
