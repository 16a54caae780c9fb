"""The rules refuse what would make a sum wrap or an epoch pay from broken evidence."""

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
from vectors.loader import GoldenEpoch, worked_example
from vectors.rows import accepted, address, claim_row, energy_row, grid_row, masks, node_id, policy_of, uptime_row

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.allocation import Opening
from ledger.model.errors import InvariantError
from ledger.model.policy import ModelFigures, Tables, ZoneFigures
from ledger.model.units import MicrogramsCo2e, Wei
from ledger.rules import UnknownRulesError, rules_for
from ledger.rules.v1 import allocate, combine, score, settle


def test_an_unknown_version_is_refused_by_name() -> None:
    with pytest.raises(UnknownRulesError, match="'v0'"):
        rules_for("v0")


def _column(frame: str, **values: object) -> Callable[[AcceptedEvidence], AcceptedEvidence]:
    def change(evidence: AcceptedEvidence) -> AcceptedEvidence:
        columns = {name: pl.lit(value).cast(getattr(evidence, frame).schema[name]) for name, value in values.items()}
        return replace(evidence, **{frame: getattr(evidence, frame).with_columns(**columns)})

    return change


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (_column("nodes", gpu_count=73), "73 GPUs"),
        (_column("nodes", nameplate_w=24_001), "24001 W"),
        (_column("nodes", model="abacus"), "without figures"),
        (_column("nodes", node_id=bytes(32)), "two active registrations"),
        (_column("uptime", window_start=1_686_823_200 - 3600), "leaves the epoch"),
        (_column("uptime", window_start=1_686_823_200 + 1), "leaves the epoch"),
        (_column("uptime", up_mask=bytes(31)), "up_mask"),
        (_column("energy", hours=5), "leaves the epoch"),
        (_column("grid", location_ef=(2_000_001).to_bytes(4, "big") * 4), "exceeds 2000000"),
        (_column("claims", consumption_hour=1_686_823_200 + 4 * 3600), "outside the epoch"),
        (_column("claims", credited_wh=0), "0 Wh"),
        (_column("claims", credited_wh=2**62), "exceed"),
        (_column("claims", tier=3), "tier"),
        (lambda evidence: replace(evidence, hours=169), "169 hours"),
        (
            lambda evidence: replace(
                evidence,
                uptime=pl.concat(
                    [evidence.uptime, evidence.uptime.head(1).with_columns(verifier=pl.lit(address("sixth")))]
                ),
            ),
            "6 checkers",
        ),
    ],
)
def test_broken_evidence_stops_the_epoch(break_it: Callable[[AcceptedEvidence], AcceptedEvidence], said: str) -> None:
    golden = worked_example()
    with pytest.raises(InvariantError, match=said):
        allocate(break_it(golden.evidence), golden.policy, golden.tables, golden.opening)


def test_a_policy_outside_its_bounds_stops_the_epoch() -> None:
    golden = worked_example()
    with pytest.raises(InvariantError, match="reserve_bps = 3001"):
        allocate(golden.evidence, policy_of({"reserve_bps": 3001}), golden.tables, golden.opening)


def test_a_table_figure_outside_its_bounds_stops_the_epoch() -> None:
    golden = worked_example()
    wild = replace(golden.tables.models["RTX-4090-24GB"], ref_active_mw=10_000_001)
    tables = replace(golden.tables, models={**golden.tables.models, "RTX-4090-24GB": wild})
    with pytest.raises(InvariantError, match="RTX-4090"):
        allocate(golden.evidence, golden.policy, tables, golden.opening)


def test_a_node_scored_twice_is_not_paid_twice() -> None:
    golden = worked_example()
    scores = score(golden.evidence, golden.policy, golden.tables)
    with pytest.raises(InvariantError, match="scored twice"):
        settle(combine([scores, scores]), golden.policy, golden.opening)


def test_scores_of_two_epochs_do_not_combine() -> None:
    golden = worked_example()
    scores = score(golden.evidence, golden.policy, golden.tables)
    with pytest.raises(InvariantError, match="different epochs"):
        combine([scores, replace(scores, epoch=scores.epoch + 1)])


def test_a_split_that_loses_a_wei_stops_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    golden = worked_example()
    monkeypatch.setattr("ledger.rules.v1.distribution.split", lambda amount, weights: ([1] * len(weights), 0))
    with pytest.raises(InvariantError, match="does not add up"):
        allocate(golden.evidence, golden.policy, golden.tables, golden.opening)


def test_lines_that_miss_the_pay_stop_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    golden = worked_example()
    monkeypatch.setattr(
        "ledger.rules.v1.distribution.with_lines",
        lambda paid: paid.with_columns(base_wei=pl.col("pay_wei"), efficiency_wei=1, green_wei=0),
    )
    with pytest.raises(InvariantError, match="do not sum to its pay"):
        allocate(golden.evidence, golden.policy, golden.tables, golden.opening)


def test_an_epoch_without_nodes_rolls_its_pool_over() -> None:
    golden = worked_example()
    nobody = replace(golden.evidence, nodes=golden.evidence.nodes.clear())
    result = allocate(nobody, golden.policy, golden.tables, golden.opening)

    assert result.totals.rollover_out_wei == result.totals.pool_wei == 900 * 10**18
    assert len(result.statements) == len(result.zone_hours) == 0


def test_refused_readings_and_grid_gaps_are_listed_with_their_hours(golden_epochs: list[GoldenEpoch]) -> None:
    named = {golden.name: golden for golden in golden_epochs}
    meters = named["several-meters"]
    refused = allocate(meters.evidence, meters.policy, meters.tables, meters.opening).hours_refused
    assert refused.rows() == [(node_id("C"), address("m2"), 0, "energy.implausible")]

    grid = named["grid-factors"]
    hours = allocate(grid.evidence, grid.policy, grid.tables, grid.opening).zone_hours
    keys = ["zone", "hour"]
    assert hours.select(keys).rows() == [(zone, hour) for zone in "UVWXYZ" for hour in (0, 1)]
    assert hours.filter("missing").select(keys).rows() == [
        ("U", 0), ("V", 0), ("V", 1), ("Y", 0), ("Y", 1), ("Z", 0), ("Z", 1),
    ]  # fmt: skip
    assert hours.filter("estimated").select(keys).rows() == [("U", 1), ("W", 0)]
    assert hours.filter("no_residual_mix").select(keys).rows() == [("W", 0), ("X", 0)]
    factors = hours.filter(zone="W").select("location_ef_mg", "residual_ef_mg")
    assert factors.rows() == [(200_000, 200_000), (100_000, 700_000)]


def test_nothing_wraps_at_the_extreme_widths() -> None:
    """168 hours of 72 GPUs at every upper bound at once, against Python's integers (R4.22)."""
    hours, gpus, nameplate, start = 168, 72, 216_000, 1_700_002_800
    policy = policy_of(
        {
            "epoch_budget_wei": 2**96 - 1,
            "carbon_price_wei_per_tonne": 10**23,
            "k_eff_bps": 10_000,
            "s_clamp_ppm": 500_000,
            "pue_ref_e4": 20_000,
            "g_match_bps": 5000,
            "g_grid_bps": 1500,
            "max_mult_ppm": 2_000_000,
        }
    )
    figures = ModelFigures(tdp_w=10_000, capacity_milli=10**6, ref_active_mw=10**7, ref_idle_mw=10**7)
    node = {"operator": address("op"), "model": "m", "zone": "Z", "country": "NO", "gpu_count": gpus}
    nodes = [{**node, "node_id": node_id(name), "nameplate_w": nameplate} for name in ("metered", "silent")]
    it_wh = 105 * nameplate // 100
    reading = {
        "pue_e4": 30_000,
        "meter_class": 3,
        "active_gpu_sec": [gpus * 3600] * hours,
        "gpu_millijoule": [it_wh * 3_600_000] * hours,
        "it_wh": [it_wh] * hours,
        "water_ml": [2**32 - 1] * hours,
    }
    evidence = accepted(
        epoch=0,
        window_start=start,
        hours=hours,
        nodes=nodes,
        uptime=[
            uptime_row(
                node=entry["node_id"],
                verifier=address(f"c{checker}"),
                start=start,
                hours=[masks("59u1d")] * hours,
                capacity=1,
            )
            for entry in nodes
            for checker in range(5)
        ],
        energy=[energy_row(node=nodes[0], verifier=address("m"), start=start, reading=reading)],
        claims=[
            claim_row(node=nodes[0], tier=1, hour_start=start + 3600 * hour, credited_wh=10**12, serial=hour)
            for hour in range(hours)
        ],
        grid=[
            grid_row(
                zone="Z",
                verifier=address("g"),
                start=start,
                location=[2_000_000] * hours,
                residual=[2_000_000] * hours,
                flags=[0] * hours,
            )
        ],
    )
    tables = Tables(
        rules_version="v1", models={"m": figures}, zones={"Z": ZoneFigures(market="M", yearly_ef_mg_per_kwh=1)}
    )
    opening = Opening(rollover_in_wei=Wei(2**104), carried_in_ug=MicrogramsCo2e(10**18))
    result = allocate(evidence, policy, tables, opening)

    metered, silent = result.statements.rows(named=True)
    reference = 10**7 * gpus * 3600 * 20_000 * hours
    assert metered["ref_e4"] == silent["ref_e4"] == reference
    assert metered["act_e4"] == it_wh * 3_600_000 * 30_000 * hours
    assert metered["s_ppm"] == min(500_000, (reference - metered["act_e4"]) * 10**6 // reference)
    charged = max(nameplate, gpus * 10**7 // 1000)
    assert silent["act_e4"] == charged * 3_600_000 * 20_000 * hours
    assert metered["water_ml"] == (2**32 - 1) * hours
    assert metered["match_ppm"] == 10**6
    assert metered["weight"] == gpus * 10**6 * metered["uptime"] * metered["multiplier"]
    assert silent["residual_ug"] == charged * 2 * 2_000_000 * hours
    pool = 2**96 - 1 + 2**104 - (2**96 - 1) // 10 - result.totals.carbon_wei
    total = metered["weight"] + silent["weight"]
    floors = [pool * row["weight"] // total for row in (metered, silent)]
    assert result.totals.payout_wei == pool
    assert 0 <= metered["pay_wei"] - floors[0] <= 1
    assert 0 <= silent["pay_wei"] - floors[1] <= 1
    excess = metered["multiplier"] - min(metered["multiplier"], metered["efficiency"])
    assert metered["green_wei"] == metered["pay_wei"] * excess // metered["multiplier"]
