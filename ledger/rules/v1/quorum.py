"""Minutes, hours and capacity by the votes of a node's checkers (R2.1 to R2.8)."""

from dataclasses import dataclass

import numpy as np

from ledger.model.errors import InvariantError
from ledger.model.units import MINUTES_PER_HOUR
from ledger.rules.v1.placement import Flags, Ints, Placement, Words

MAX_UNKNOWN_MINUTES = 6
PASS, FAIL = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """What a run of nodes was seen doing; arrays are [node, hour] or [node]."""

    up_minutes: Ints
    known_minutes: Ints
    """UP and DOWN."""
    resolved: Flags
    unresolved: Flags
    unobserved: Flags
    capacity_passes: Ints
    capacity_fails: Ints


def take_quorum(votes: Placement, *, q: int, k: int) -> Quorum:
    """Classify each minute and hour by at least q of at most k checkers; InvariantError if a node has more."""
    if votes.slots > k:
        raise InvariantError(f"a node has votes of {votes.slots} checkers, at most {k} are its own")
    up_votes = votes.spread_array("up_mask", 8)
    down_votes = votes.spread_array("seen_mask", 8) & ~up_votes
    up = _reached(up_votes, q)
    up_minutes = np.bitwise_count(up).astype(np.int64)
    known_minutes = np.bitwise_count(up | _reached(down_votes, q)).astype(np.int64)
    unobserved = votes.covered().sum(axis=0, dtype=np.uint8) < q
    doubtful = MINUTES_PER_HOUR - known_minutes > MAX_UNKNOWN_MINUTES
    checks = votes.records["capacity_check"].to_numpy()
    fails = votes.per_slot(checks == FAIL)
    passes = votes.per_slot(checks == PASS) & ~fails
    return Quorum(
        up_minutes=up_minutes,
        known_minutes=known_minutes,
        resolved=~unobserved & ~doubtful,
        unresolved=~unobserved & doubtful,
        unobserved=unobserved,
        capacity_passes=passes.sum(axis=0, dtype=np.int64),
        capacity_fails=fails.sum(axis=0, dtype=np.int64),
    )


def _reached(votes: Words, q: int) -> Words:
    """Bits set in at least q of the words [slot, node, hour] (R2.3).

    All 60 minutes at once: a counter per minute is kept as one word per binary digit, and `count ≥ q` is the
    carry out of adding 2ⁿ − q to it.
    """
    digits = max(len(votes), q).bit_length()
    planes = [np.zeros(votes.shape[1:], dtype=np.uint64) for _ in range(digits)]
    for vote in votes:
        carry = vote
        for digit, plane in enumerate(planes):
            planes[digit], carry = plane ^ carry, plane & carry
    addend = 2**digits - q
    reached = np.zeros(votes.shape[1:], dtype=np.uint64)
    for digit, plane in enumerate(planes):
        reached = plane | reached if addend >> digit & 1 else plane & reached
    return reached
