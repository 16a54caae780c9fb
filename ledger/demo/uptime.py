"""Synthetic uptime: what a node did in each minute, and what each checker saw of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from ledger.demo.fleet import DemoNode, Reliability
from ledger.demo.stream import Stream
from ledger.evidence.items.records import RECORD_COLUMNS, Window
from ledger.evidence.items.typed_data import Schema
from ledger.model.units import MINUTES_PER_HOUR, SECONDS_PER_HOUR

HOUR_MASK = (1 << MINUTES_PER_HOUR) - 1
PASS, FAIL, NOT_RUN = 1, 2, 0
MINUTES_PER_DAY = 1440


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How one checker sees in one epoch: what it misses, and the hour in which it was away itself."""

    checker: int
    misreads_permille: int
    blind_permille: int
    away_hour: int | None


def up_minutes(seed: bytes, node: DemoNode, epoch: int, hours: int) -> int:
    """The node's minutes of the epoch as bits, minute 0 lowest; cleared bits are its outages."""
    minutes = hours * MINUTES_PER_HOUR
    everything = (1 << minutes) - 1
    if node.reliability is Reliability.DOWN:
        return 0
    stream = Stream(seed, "outage", node.index, epoch)
    least, most = node.reliability.value
    lost = stream.between(least, most) * minutes // MINUTES_PER_DAY
    if node.reliability is Reliability.STEADY and stream.happens(700):
        lost = 0  # most steady nodes have a day without any outage
    return everything & ~_stretch(stream, minutes, lost)


def uptime_records(
    seed: bytes, nodes: Sequence[DemoNode], truth: Sequence[int], sight: Sight, window: Window, epoch: int
) -> pl.DataFrame:
    """One checker's records about these nodes; two each around the hour it was away itself."""
    hours = (window.end - window.start) // SECONDS_PER_HOUR
    stream = Stream(seed, "sight", sight.checker, epoch)
    rows = []
    for node, up in zip(nodes, truth, strict=True):
        minutes = hours * MINUTES_PER_HOUR
        seen = (1 << minutes) - 1
        if stream.happens(sight.blind_permille):
            seen &= ~_stretch(stream, minutes, stream.between(5, 25))
        if stream.happens(sight.misreads_permille):
            up &= ~_stretch(stream, minutes, stream.between(1, 4))
        verdict = capacity_verdict(node, stream)
        for first, beyond in _spans(hours, sight.away_hour):
            masks = _masks(up & seen, first, beyond), _masks(seen, first, beyond)
            start = window.start + first * SECONDS_PER_HOUR
            rows.append((node.node_id, start, beyond - first, *masks, verdict))
    return pl.DataFrame(rows, schema=RECORD_COLUMNS[Schema.UPTIME], orient="row")


def capacity_verdict(node: DemoNode, stream: Stream) -> int:
    """Pass, unless the test did not run or the node is one of those that do not hold what they registered."""
    if is_overstated(node):
        return FAIL
    return NOT_RUN if node.reliability is Reliability.DOWN or stream.happens(15) else PASS


def is_overstated(node: DemoNode) -> bool:
    """Deliberate: these nodes fail every capacity check, so the quorum denies them any capacity."""
    return node.index % 397 == 5


def _stretch(stream: Stream, minutes: int, length: int) -> int:
    length = min(length, minutes)
    return ((1 << length) - 1) << stream.below(minutes - length + 1)


def _spans(hours: int, away_hour: int | None) -> Iterator[tuple[int, int]]:
    if away_hour is None or away_hour >= hours:
        yield 0, hours
        return
    if away_hour:
        yield 0, away_hour
    if away_hour + 1 < hours:
        yield away_hour + 1, hours


def _masks(minutes: int, first: int, beyond: int) -> bytes:
    return b"".join(
        (minutes >> (hour * MINUTES_PER_HOUR) & HOUR_MASK).to_bytes(8, "big") for hour in range(first, beyond)
    )
