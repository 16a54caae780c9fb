"""Fake time: one true time, the skewed wall clock a worker reads, and a stand-in for the `time` module of waiting code.

The true time moves with blocks and waits, never with the machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ledger.model.units import Timestamp


@dataclass(slots=True)
class SimClock:
    """The clock the steps are given. `skew` is how wrong it is now: an operator or NTP set it, forwards or back."""

    true: int
    skew: int = 0

    def now(self) -> Timestamp:
        """Unix seconds as the workers see them."""
        return Timestamp(self.true + self.skew)


class WaitingTime:
    """`time` for code that waits for a receipt: a sleep costs no time here, and the world may move meanwhile."""

    def __init__(self, slept: Callable[[], None]) -> None:
        self._monotonic = 0.0
        self._slept = slept

    def monotonic(self) -> float:
        """Seconds from somewhere."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """At least two seconds, so that a wait is short in calls."""
        self._monotonic += max(seconds, 2.1)
        self._slept()
