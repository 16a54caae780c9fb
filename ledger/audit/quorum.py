"""What the node's checkers agree on: minutes, hours, capacity (rewards spec R2.1 to R2.8).

A mask holds an hour's sixty minutes as bits, so one bit operation decides all of them at once, exactly.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.audit.dossier import Dossier
from ledger.model.units import MINUTES_PER_HOUR

WHOLE_HOUR = (1 << MINUTES_PER_HOUR) - 1
MAX_UNKNOWN_MINUTES = 6
"""An observed hour with more unknown minutes is unresolved (R2.4)."""
CHECK_PASSED, CHECK_FAILED = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HourVerdict:
    """What q checkers agree on about one hour."""

    observed: bool
    resolved: bool
    up_minutes: int
    down_minutes: int

    @property
    def is_idle_for_energy(self) -> bool:
        """Whether an hour without a reading is left out rather than charged (R2.14)."""
        return not self.observed or (self.resolved and self.up_minutes == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeQuorum:
    """A node's hours and capacity, as its checkers settled them."""

    hours: tuple[HourVerdict, ...]
    capacity_passes: int
    capacity_fails: int

    @property
    def resolved(self) -> int:
        return sum(hour.resolved for hour in self.hours)

    @property
    def unresolved(self) -> int:
        return sum(hour.observed and not hour.resolved for hour in self.hours)

    @property
    def unobserved(self) -> int:
        return sum(not hour.observed for hour in self.hours)

    @property
    def up_minutes(self) -> int:
        """UP minutes of resolved hours (R2.5)."""
        return sum(hour.up_minutes for hour in self.hours if hour.resolved)

    @property
    def expected_minutes(self) -> int:
        """UP and DOWN minutes of resolved hours (R2.5)."""
        return sum(hour.up_minutes + hour.down_minutes for hour in self.hours if hour.resolved)

    @property
    def is_in_doubt(self) -> bool:
        """More than a quarter of the observed hours is unresolved (R2.6)."""
        return 4 * self.unresolved > self.resolved + self.unresolved


def settle(dossier: Dossier, hours: int, quorum: int) -> NodeQuorum:
    """What at least `quorum` of the node's checkers agree on, for each of the epoch's `hours`."""
    checkers = dossier.capacity_checks.values()
    failed = [checks for checks in checkers if CHECK_FAILED in checks]
    passed = [checks for checks in checkers if CHECK_PASSED in checks and CHECK_FAILED not in checks]
    return NodeQuorum(
        hours=tuple(_settle_hour(dossier, hour, quorum) for hour in range(hours)),
        capacity_passes=len(passed),
        capacity_fails=len(failed),
    )


def _settle_hour(dossier: Dossier, hour: int, quorum: int) -> HourVerdict:
    votes = dossier.votes.get(hour, {}).values()
    up = at_least(quorum, (vote.up for vote in votes)).bit_count()
    down = at_least(quorum, (vote.seen & ~vote.up for vote in votes)).bit_count()
    observed = len(votes) >= quorum
    unknown = MINUTES_PER_HOUR - up - down
    return HourVerdict(
        observed=observed,
        resolved=observed and unknown <= MAX_UNKNOWN_MINUTES,
        up_minutes=up,
        down_minutes=down,
    )


def at_least(threshold: int, masks: Iterable[int]) -> int:
    """The bits set in at least `threshold` of the masks.

    reached[n] holds the minutes with n votes so far; one more vote lifts each minute by one, so the
    levels are raised from the top down, lest one vote count twice.
    """
    reached = [WHOLE_HOUR] + [0] * threshold
    for mask in masks:
        for level in range(threshold, 0, -1):
            reached[level] |= reached[level - 1] & mask
    return reached[threshold]
