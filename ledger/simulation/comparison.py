"""What was sealed beside what another policy would have done, summed over the replayed epochs. Exact integers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from ledger.model.allocation import Totals
from ledger.model.errors import InvariantError
from ledger.model.units import EpochNumber, Hash32, MicrogramsCo2e, Ppm, Wei, Wh
from ledger.rules.allocation import Allocation
from ledger.simulation.concentration import Concentration, concentration

_PPM = 10**6
_KEPT = ("node_id", "operator", "model", "zone", "country", "pay_wei")
_ENERGY = ("load_wh", "m1_wh", "m2_wh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a comparison needs of one epoch's allocation."""

    totals: Totals
    payouts: pl.DataFrame
    load_wh: Wh
    m1_wh: Wh
    m2_wh: Wh

    @classmethod
    def of(cls, allocation: Allocation) -> "Outcome":
        """The statements reduced to who is paid what and where."""
        frame = allocation.statements
        load, hourly, volumetric = frame.select(pl.col(_ENERGY).cast(pl.Int128).sum()).row(0)
        return cls(totals=allocation.totals, payouts=frame.select(_KEPT), load_wh=load, m1_wh=hourly, m2_wh=volumetric)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedEpoch:
    """One epoch, sealed and under the other policy."""

    epoch: EpochNumber
    policy_version: int
    """The one it was sealed under."""
    quorum_k: int
    """Checkers drawn for a node under that policy."""
    header_hash: Hash32
    evidence_root: Hash32
    is_rejudged: bool
    """Whether acceptance had to run again for the other policy."""
    sealed: Outcome
    proposed: Outcome


class Change(NamedTuple):
    """What one operator, node, model, zone or country was paid, and would have been."""

    key: str | bytes
    nodes: int
    before_wei: int
    after_wei: int

    @property
    def delta_wei(self) -> int:
        """Positive for a winner."""
        return self.after_wei - self.before_wei

    @property
    def delta_ppm(self) -> int | None:
        """Of what it was paid, towards zero; None if that was nothing."""
        if not self.before_wei:
            return None
        share = abs(self.delta_wei) * _PPM // self.before_wei
        return share if self.delta_wei >= 0 else -share


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """All replayed epochs under one of the two."""

    budget_wei: Wei
    rollover_in_wei: Wei
    """Into the first epoch."""
    payout_wei: Wei
    carbon_wei: Wei
    reserve_wei: Wei
    rollover_out_wei: Wei
    """Out of the last epoch."""
    location_ug: MicrogramsCo2e
    residual_ug: MicrogramsCo2e
    carried_in_ug: MicrogramsCo2e
    """Into the first epoch."""
    carried_out_ug: MicrogramsCo2e
    """Out of the last epoch: what the cap left unpaid."""
    load_wh: Wh
    m1_wh: Wh
    m2_wh: Wh
    concentration: Concentration

    @property
    def hourly_matched_ppm(self) -> Ppm:
        """Load matched by certificates of the same hour and zone."""
        return Ppm(_share(self.m1_wh, self.load_wh))

    @property
    def volumetric_matched_ppm(self) -> Ppm:
        """Load matched by certificates of either tier."""
        return Ppm(_share(self.m1_wh + self.m2_wh, self.load_wh))

    @property
    def paid_for_ppm(self) -> Ppm:
        """Emissions coverage: the part of what was owed, carried in or new, that the carve-out paid for."""
        owed = self.residual_ug + self.carried_in_ug
        return Ppm(_share(owed - self.carried_out_ug, owed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The whole answer. Every list is sorted by the greatest gain first, then by key."""

    epochs: tuple[ReplayedEpoch, ...]
    before: Side
    after: Side
    operators: tuple[Change, ...]
    nodes: tuple[Change, ...]
    models: tuple[Change, ...]
    zones: tuple[Change, ...]
    countries: tuple[Change, ...]

    @property
    def moved_wei(self) -> int:
        """What the winners gain among operators; the losers' loss differs from it by what the pool gained or lost."""
        return sum(max(0, change.delta_wei) for change in self.operators)


def gains_and_losses(changes: Sequence[Change]) -> tuple[int, int, int]:
    """How many gain, lose and stay the same."""
    gain = sum(change.delta_wei > 0 for change in changes)
    lose = sum(change.delta_wei < 0 for change in changes)
    return gain, lose, len(changes) - gain - lose


def compare(epochs: Sequence[ReplayedEpoch]) -> Comparison:
    """Sum both sides over consecutive epochs. InvariantError when a wei is lost on the way."""
    before = pl.concat([each.sealed.payouts for each in epochs])
    after = pl.concat([each.proposed.payouts for each in epochs])
    changes = {key: _changes(before, after, key) for key in ("operator", "node_id", "model", "zone", "country")}
    operators = changes["operator"]
    comparison = Comparison(
        epochs=tuple(epochs),
        before=_side([each.sealed for each in epochs], [change.before_wei for change in operators]),
        after=_side([each.proposed for each in epochs], [change.after_wei for change in operators]),
        operators=operators,
        nodes=changes["node_id"],
        models=changes["model"],
        zones=changes["zone"],
        countries=changes["country"],
    )
    _require_exact(comparison)
    return comparison


def _changes(before: pl.DataFrame, after: pl.DataFrame, key: str) -> tuple[Change, ...]:
    old, new = _sums(before, key), _sums(after, key)
    found = [
        Change(
            name,
            max(old.get(name, (0, 0))[0], new.get(name, (0, 0))[0]),
            old.get(name, (0, 0))[1],
            new.get(name, (0, 0))[1],
        )
        for name in old.keys() | new.keys()
    ]
    return tuple(sorted(found, key=lambda change: (-change.delta_wei, change.key)))


def _sums(payouts: pl.DataFrame, key: str) -> Mapping[str | bytes, tuple[int, int]]:
    """Nodes and wei by key."""
    sums = (
        payouts.select(pl.col(key).alias("key"), "node_id", "pay_wei")
        .group_by("key")
        .agg(pl.col("node_id").n_unique(), pl.col("pay_wei").sum())
    )
    return {name: (nodes, wei) for name, nodes, wei in sums.iter_rows()}


def _side(outcomes: Sequence[Outcome], operator_wei: Sequence[int]) -> Side:
    totals = [outcome.totals for outcome in outcomes]
    return Side(
        budget_wei=Wei(sum(each.budget_wei for each in totals)),
        rollover_in_wei=totals[0].rollover_in_wei,
        payout_wei=Wei(sum(each.payout_wei for each in totals)),
        carbon_wei=Wei(sum(each.carbon_wei for each in totals)),
        reserve_wei=Wei(sum(each.reserve_wei for each in totals)),
        rollover_out_wei=totals[-1].rollover_out_wei,
        location_ug=MicrogramsCo2e(sum(each.location_ug for each in totals)),
        residual_ug=MicrogramsCo2e(sum(each.residual_ug for each in totals)),
        carried_in_ug=totals[0].carried_in_ug,
        carried_out_ug=totals[-1].carried_out_ug,
        load_wh=Wh(sum(outcome.load_wh for outcome in outcomes)),
        m1_wh=Wh(sum(outcome.m1_wh for outcome in outcomes)),
        m2_wh=Wh(sum(outcome.m2_wh for outcome in outcomes)),
        concentration=concentration(operator_wei),
    )


def _require_exact(comparison: Comparison) -> None:
    for side, name in ((comparison.before, "sealed"), (comparison.after, "proposed")):
        spent = side.payout_wei + side.carbon_wei + side.reserve_wei + side.rollover_out_wei
        if spent != side.budget_wei + side.rollover_in_wei:
            raise InvariantError(f"the {name} epochs do not conserve their budgets")
    moved = comparison.after.payout_wei - comparison.before.payout_wei
    for changes in (comparison.operators, comparison.nodes, comparison.models, comparison.zones, comparison.countries):
        if sum(change.delta_wei for change in changes) != moved:
            raise InvariantError("the changes do not sum to the change of the payout")


def _share(part: int, whole: int) -> int:
    return part * _PPM // whole if whole else 0
