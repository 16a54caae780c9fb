"""What holds for every epoch, whatever its evidence (R4.25)."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import polars as pl
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from vectors.strategies import FULL_HOUR, WINDOW_START, EpochInputs, epochs

from ledger.rules.allocation import Allocation
from ledger.rules.v1 import allocate, combine, score, settle, shard
from ledger.rules.v1.remainder import split

FRAMES = ("statements", "hours_refused", "zone_hours")


def result_of(epoch: EpochInputs) -> Allocation:
    return allocate(epoch.evidence, epoch.policy, epoch.tables, epoch.opening)


def assert_same(one: Allocation, other: Allocation) -> None:
    assert one.totals == other.totals
    for name in FRAMES:
        assert_frame_equal(getattr(one, name), getattr(other, name))


@settings(max_examples=60, deadline=None)
@given(epochs())
def test_every_wei_of_budget_and_rollover_goes_somewhere(epoch: EpochInputs) -> None:
    result = result_of(epoch)

    totals, rows = result.totals, result.statements
    spent = totals.payout_wei + totals.carbon_wei + totals.reserve_wei + totals.rollover_out_wei
    assert spent == epoch.policy.epoch_budget_wei + epoch.opening.rollover_in_wei
    assert sum(rows["pay_wei"].to_list()) == totals.payout_wei
    lines = zip(*(rows[name].to_list() for name in ("base_wei", "efficiency_wei", "green_wei")), strict=True)
    assert [sum(line) for line in lines] == rows["pay_wei"].to_list()
    assert rows["node_id"].to_list() == sorted(epoch.evidence.nodes["node_id"].to_list())


@settings(max_examples=60, deadline=None)
@given(epochs())
def test_hours_add_up_for_every_node_and_zone(epoch: EpochInputs) -> None:
    result = result_of(epoch)

    rows = result.statements
    hours = pl.col("hours_resolved") + pl.col("hours_unresolved") + pl.col("hours_unobserved")
    assert (rows.select(hours).to_series() == epoch.evidence.hours).all()
    assert (rows["hours_metered"] + rows["hours_charged"] <= epoch.evidence.hours).all()
    for name in ("it_wh", "load_wh", "m1_wh"):
        assert result.zone_hours[name].sum() == rows[name].sum()
    located = (result.zone_hours["load_wh"] * result.zone_hours["location_ef_mg"]).sum()
    assert located == result.totals.location_ug


@settings(max_examples=40, deadline=None)
@given(epochs(), st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(epoch: EpochInputs, seed: int) -> None:
    random = np.random.default_rng(seed)
    evidence = epoch.evidence
    shuffled = {
        name: getattr(evidence, name)[random.permutation(len(getattr(evidence, name)))]
        for name in ("nodes", "uptime", "energy", "claims", "grid")
    }

    assert_same(result_of(epoch), result_of(replace(epoch, evidence=replace(evidence, **shuffled))))


@settings(max_examples=40, deadline=None)
@given(epochs())
def test_shards_scored_apart_give_the_same_result(epoch: EpochInputs) -> None:
    parts = [
        score(shard(epoch.evidence, prefix), epoch.policy, epoch.tables)
        for prefix in (b"A", b"C", b"B", b"D", b"E", b"F", b"G")
    ]

    assert_same(result_of(epoch), settle(combine(parts), epoch.policy, epoch.opening))


@settings(max_examples=30, deadline=None)
@given(epochs())
def test_nodes_laid_out_one_at_a_time_give_the_same_result(epoch: EpochInputs) -> None:
    whole = result_of(epoch)
    with patch("ledger.rules.v1.scoring._VOTES_PER_RUN", 1):
        assert_same(whole, result_of(epoch))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**97),
    st.lists(st.integers(0, 2**60) | st.sampled_from([0, 1, 7]), min_size=1, max_size=12),
    st.integers(1, 10**6),
)
def test_scaling_all_weights_changes_no_share(amount: int, weights: list[int], factor: int) -> None:
    shares, left_over = split(amount, weights)

    assert split(amount, [weight * factor for weight in weights]) == (shares, left_over)
    assert sum(shares) == (amount if any(weights) else 0)
    for share, weight in zip(shares, weights, strict=True):
        floor = amount * weight // max(1, sum(weights))
        assert share - floor in ({0, 1} if weight else {0})


def _pay(result: Allocation, node: bytes) -> int:
    return int(result.statements.filter(pl.col("node_id") == node)["pay_wei"].item())


@settings(max_examples=60, deadline=None)
@given(epochs(), st.data())
def test_a_minute_up_instead_of_down_never_pays_less(epoch: EpochInputs, data: st.DataObject) -> None:
    """Every checker's down-votes of one hour become up-votes; the energy hours accepted stay accepted."""
    assume(len(epoch.evidence.nodes))
    node = data.draw(st.sampled_from(epoch.evidence.nodes["node_id"].to_list()))
    hour = data.draw(st.integers(0, epoch.evidence.hours - 1))
    flipped = [
        _with_seen_minutes_up(row, hour) if row["node_id"] == node else row
        for row in epoch.evidence.uptime.iter_rows(named=True)
    ]
    uptime = pl.DataFrame(flipped, schema=epoch.evidence.uptime.schema)
    before, after = result_of(epoch), result_of(replace(epoch, evidence=replace(epoch.evidence, uptime=uptime)))
    kept = ("hours_resolved", "hours_unresolved", "hours_metered", "hours_charged", "hours_implausible")
    mine = pl.col("node_id") == node
    assume(before.statements.filter(mine).select(kept).equals(after.statements.filter(mine).select(kept)))

    assert _pay(after, node) >= _pay(before, node)


def _with_seen_minutes_up(row: dict[str, object], hour: int) -> dict[str, object]:
    start, up, seen = row["window_start"], row["up_mask"], row["seen_mask"]
    assert isinstance(start, int)
    assert isinstance(up, bytes)
    assert isinstance(seen, bytes)
    at = 8 * (hour - (start - WINDOW_START) // 3600)
    if not 0 <= at < len(up):
        return row
    assert int.from_bytes(seen[at : at + 8], "big") <= FULL_HOUR
    return {**row, "up_mask": up[:at] + seen[at : at + 8] + up[at + 8 :]}


@settings(max_examples=60, deadline=None)
@given(epochs(), st.data())
def test_more_matched_energy_never_pays_less_by_more_than_one_wei(epoch: EpochInputs, data: st.DataObject) -> None:
    claims = epoch.evidence.claims
    assume(len(claims))
    lucky = data.draw(st.integers(0, len(claims) - 1))
    extra = data.draw(st.integers(1, 5000))
    more = claims.with_row_index().with_columns(
        credited_wh=pl.when(pl.col("index") == lucky)
        .then(pl.col("credited_wh") + extra)
        .otherwise(pl.col("credited_wh"))
    )
    richer = replace(epoch, evidence=replace(epoch.evidence, claims=more.drop("index")))
    node = claims["node_id"][lucky]

    assert _pay(result_of(richer), node) >= _pay(result_of(epoch), node) - 1
