"""What a comparison says of two outcomes: exact differences, ratios of integers, drawings that never change."""

from dataclasses import replace
from fractions import Fraction
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.model.allocation import Totals
from ledger.model.errors import InvariantError
from ledger.model.units import EpochNumber, Hash32, MicrogramsCo2e, Wei, Wh
from ledger.simulation.charts import charts, diverging_bars, signed_ath
from ledger.simulation.comparison import Change, Comparison, Outcome, ReplayedEpoch, compare, gains_and_losses
from ledger.simulation.concentration import concentration

WEI = st.integers(0, 2**96)


def outcome(pays: list[int], *, rollover_in: int = 0, carbon: int = 7, reserve: int = 11) -> Outcome:
    """Node i belongs to operator i // 2 and model i % 3; all in one zone."""
    frame = pl.DataFrame(
        {
            "node_id": [index.to_bytes(32, "big") for index in range(len(pays))],
            "operator": [(index // 2).to_bytes(20, "big") for index in range(len(pays))],
            "model": [f"model {index % 3}" for index in range(len(pays))],
            "zone": ["NO"] * len(pays),
            "country": ["NO"] * len(pays),
            "pay_wei": pl.Series(pays, dtype=pl.Int128),
        }
    )
    return Outcome(
        totals=Totals(
            epoch=EpochNumber(0),
            budget_wei=Wei(sum(pays) + carbon + reserve - rollover_in),
            rollover_in_wei=Wei(rollover_in),
            reserve_wei=Wei(reserve),
            carbon_wei=Wei(carbon),
            pool_wei=Wei(sum(pays)),
            payout_wei=Wei(sum(pays)),
            rollover_out_wei=Wei(0),
            sum_weight=1,
            left_over_wei=0,
            location_ug=MicrogramsCo2e(5),
            residual_ug=MicrogramsCo2e(100),
            carried_in_ug=MicrogramsCo2e(0),
            carried_out_ug=MicrogramsCo2e(25),
        ),
        payouts=frame,
        load_wh=Wh(1000),
        m1_wh=Wh(333),
        m2_wh=Wh(333),
    )


def epoch(sealed: Outcome, proposed: Outcome) -> ReplayedEpoch:
    return ReplayedEpoch(
        epoch=EpochNumber(0), policy_version=1, quorum_k=5, header_hash=Hash32(bytes(32)),
        evidence_root=Hash32(bytes(32)), is_rejudged=False, sealed=sealed, proposed=proposed,
    )  # fmt: skip


@given(st.lists(st.tuples(WEI, WEI), min_size=1, max_size=12))
def test_the_differences_of_every_grouping_sum_to_the_difference_of_the_payout(pays: list[tuple[int, int]]) -> None:
    found = compare([epoch(outcome([old for old, _ in pays]), outcome([new for _, new in pays]))])
    moved = sum(new - old for old, new in pays)
    for changes in (found.operators, found.nodes, found.models, found.zones, found.countries):
        assert sum(change.delta_wei for change in changes) == moved
        assert [change.delta_wei for change in changes] == sorted((c.delta_wei for c in changes), reverse=True)
    assert {c.key: c.delta_wei for c in found.nodes} == {
        index.to_bytes(32, "big"): new - old for index, (old, new) in enumerate(pays)
    }


@given(st.lists(WEI, min_size=1, max_size=30))
def test_gini_is_the_mean_difference_of_all_pairs_over_twice_the_mean(amounts: list[int]) -> None:
    found = concentration(amounts)
    total, count = sum(amounts), len(amounts)
    if not total:
        assert found.gini_ppm == 0
        return
    pairs = sum(abs(one - other) for one in amounts for other in amounts)
    assert found.gini_ppm == Fraction(pairs, 2 * count * total) * 10**6 // 1
    assert 0 <= found.gini_ppm < 10**6
    assert found.largest_ppm == max(amounts) * 10**6 // total


def test_gini_of_equals_is_zero_and_of_one_who_has_all_almost_one() -> None:
    assert concentration([5, 5, 5, 5]).gini_ppm == 0
    assert concentration([0, 0, 0, 8]).gini_ppm == 750_000


def test_several_epochs_are_summed_and_only_the_ends_carry() -> None:
    first = outcome([10, 20, 30])
    found = compare([epoch(first, first), epoch(first, outcome([30, 20, 10]))])
    assert found.before.payout_wei == 120
    assert found.before.carried_out_ug == 25
    assert found.before.residual_ug == 200
    assert found.before.paid_for_ppm == 875_000
    assert (found.before.hourly_matched_ppm, found.before.volumetric_matched_ppm) == (333_000, 666_000)
    assert found.operators == (
        Change(bytes(20), 2, 60, 80),
        Change((1).to_bytes(20, "big"), 1, 60, 40),
    )
    assert gains_and_losses(found.operators) == (1, 1, 0)
    assert found.moved_wei == 20


def test_a_node_that_only_one_side_pays_is_a_whole_gain_or_loss() -> None:
    found = compare([epoch(outcome([10, 20]), outcome([10, 20, 30]))])
    assert found.operators[0] == Change((1).to_bytes(20, "big"), 1, 0, 30)
    assert found.operators[0].delta_ppm is None


def test_a_lost_wei_is_no_comparison() -> None:
    good = outcome([10, 20])
    lost = replace(good, totals=replace(good.totals, carbon_wei=Wei(6)))
    with pytest.raises(InvariantError):
        compare([epoch(good, lost)])


@pytest.mark.parametrize(
    ("before", "after", "ppm"), [(3, 2, -333_333), (3, 4, 333_333), (7, 7, 0), (0, 5, None), (5, 0, -(10**6))]
)
def test_a_share_of_change_is_cut_towards_zero_either_way(before: int, after: int, ppm: int | None) -> None:
    assert Change("any", 1, before, after).delta_ppm == ppm


def test_amounts_in_drawings_are_signed_and_cut_never_rounded() -> None:
    assert signed_ath(1_999_999_999_999_999_999) == "+1.9999 ATH"
    assert signed_ath(-1234 * 10**18) == "−1,234.0000 ATH"
    assert signed_ath(0) == "0.0000 ATH"


def comparison() -> Comparison:
    return compare([epoch(outcome(list(range(60))), outcome(list(range(60, 0, -1))))])


def test_the_drawings_are_well_formed_and_the_same_every_time() -> None:
    drawn = charts(comparison())
    assert list(drawn) == ["budget.svg", "operators.svg", "models.svg", "zones.svg", "countries.svg"]
    assert drawn == charts(comparison())
    for text in drawn.values():
        tree = ElementTree.fromstring(text)
        numbers = [v for shape in tree.iter() for k, v in shape.attrib.items() if k in ("x", "y", "width", "height")]
        assert numbers
        assert all(number.isdigit() for number in numbers)


def test_a_drawing_escapes_what_others_named_and_leaves_the_middle_out() -> None:
    text = diverging_bars("a & b", [Change(f"<zone {index}>", 1, 0, 100 - index) for index in range(40)])
    assert "&lt;zone 0&gt;" in text
    assert "<zone" not in text
    assert "24 of 40 shown" in text
