"""Missed thresholds on the golden epochs: each named, each cost what reaching it would have brought."""

from collections.abc import Callable, Iterator, Mapping

import polars as pl
import pytest
from vectors.golden_epoch import GoldenEpoch

from ledger.model.allocation import NodeStatement
from ledger.model.units import NodeId
from ledger.rules import rules_for
from ledger.rules.allocation import HOURS_REFUSED_COLUMNS, ZONE_HOUR_COLUMNS
from ledger.rules.alternative import UnknownRulesError, Weights, resettle_for
from ledger.rules.statements import statement_rows
from ledger.rules.v1.distribution import settle
from ledger.rules.v1.factors import with_factors
from ledger.rules.v1.scoring import SCORE_COLUMNS, Scores
from ledger.steps.answers.missed_thresholds import (
    MissedThreshold,
    changes_asked,
    low_efficiency_wei,
    missed_thresholds,
    together_wei,
)

Otherwise = Callable[[Mapping[str, int]], NodeStatement]


def settled(golden: GoldenEpoch) -> Iterator[tuple[NodeStatement, Otherwise]]:
    """Each node of a golden epoch with the way to settle it otherwise."""
    rules = golden.tables.rules_version
    allocation = rules_for(rules).allocate(golden.evidence, golden.policy, golden.tables, golden.opening)
    weights = Weights(allocation.statements["weight"].to_list())

    def otherwise(paid: NodeStatement, place: int) -> Otherwise:
        return lambda changes: resettle_for(rules)(
            paid, [changes], weights=weights, place=place, residual_ug=allocation.totals.residual_ug,
            policy=golden.policy, tables=golden.tables, opening=golden.opening,
        )[0]  # fmt: skip

    for place, paid in enumerate(statement_rows(allocation.statements)):
        yield paid, otherwise(paid, place)


def settled_with_all_others(golden: GoldenEpoch, node: NodeId, changes: Mapping[str, int]) -> NodeStatement:
    """The same the long way: the whole epoch settled again with one node's counts changed."""
    rules = rules_for(golden.tables.rules_version)
    statements = rules.allocate(golden.evidence, golden.policy, golden.tables, golden.opening).statements
    nodes = statements.select(list(SCORE_COLUMNS))
    one = nodes.filter(pl.col("node_id") == node)
    counted = one.with_columns(
        pl.lit(golden.tables.models[one["model"][0]].capacity_milli, dtype=pl.Int64).alias("capacity_milli"),
        *(pl.lit(value, dtype=pl.Int64).alias(name) for name, value in changes.items()),
    )
    again = with_factors(counted, golden.policy).select(pl.col(name).cast(kind) for name, kind in SCORE_COLUMNS.items())
    scores = Scores(
        epoch=golden.evidence.epoch,
        nodes=pl.concat([nodes.filter(pl.col("node_id") != node), again]),
        hours_refused=pl.DataFrame(schema=HOURS_REFUSED_COLUMNS),
        zone_hours=pl.DataFrame(schema=ZONE_HOUR_COLUMNS),
    )
    everybody = settle(scores, golden.policy, golden.opening).statements
    return next(statement_rows(everybody.filter(pl.col("node_id") == node)))


def all_nodes(epochs: list[GoldenEpoch]) -> Iterator[tuple[NodeStatement, Otherwise, tuple[MissedThreshold, ...]]]:
    for golden in epochs:
        for paid, otherwise in settled(golden):
            yield paid, otherwise, missed_thresholds(paid, golden.policy, otherwise)


def test_settling_again_without_changes_gives_every_golden_statement(golden_epochs: list[GoldenEpoch]) -> None:
    for golden in golden_epochs:
        for paid, otherwise in settled(golden):
            assert otherwise({}) == paid


def test_settling_one_node_otherwise_gives_what_settling_everybody_again_gives(
    golden_epochs: list[GoldenEpoch],
) -> None:
    compared = 0
    for golden in golden_epochs:
        for paid, otherwise in settled(golden):
            for changes in changes_asked(paid, golden.policy):
                assert otherwise(changes) == settled_with_all_others(golden, paid.node_id, changes)
                compared += 1
    assert compared > 20


def test_rules_nobody_has_settle_nothing() -> None:
    with pytest.raises(UnknownRulesError):
        resettle_for("v0")


def test_every_change_whose_cost_is_asked_is_announced(golden_epochs: list[GoldenEpoch]) -> None:
    for golden in golden_epochs:
        for paid, otherwise in settled(golden):
            asked: list[Mapping[str, int]] = []

            def noted(changes: Mapping[str, int], among=asked, settle=otherwise) -> NodeStatement:  # type: ignore[no-untyped-def]
                among.append(changes)
                return settle(changes)  # type: ignore[no-any-return]

            missed = missed_thresholds(paid, golden.policy, noted)
            together_wei(missed, paid, noted)
            low_efficiency_wei(paid, noted)
            assert asked == changes_asked(paid, golden.policy)


def test_reaching_a_threshold_is_what_its_changes_do(golden_epochs: list[GoldenEpoch]) -> None:
    seen = set()
    for paid, otherwise, missed in all_nodes(golden_epochs):
        for each in missed:
            seen.add(each.name)
            if not each.changes:
                assert each.cost_wei is None
                continue
            reached = otherwise(each.changes)
            assert each.cost_wei == reached.pay_wei - paid.pay_wei >= 0
            assert each.name not in {other.name for other in missed_again(golden_epochs, paid, reached)}
    assert seen == {"capacity-quorum", "resolved-hours", "unresolved-hours", "uptime-minimum", "uptime-full-ramp"}


def missed_again(epochs: list[GoldenEpoch], paid: NodeStatement, reached: NodeStatement) -> tuple[MissedThreshold, ...]:
    """What is still missed once a threshold is reached, under the policy of the node's own epoch."""
    golden = next(each for each in epochs if any(node == paid for node, _ in settled(each)))
    return missed_thresholds(reached, golden.policy, lambda _changes: reached)


def test_without_a_judged_minute_nobody_says_what_it_cost(golden_epochs: list[GoldenEpoch]) -> None:
    unseen = [(paid, missed) for paid, _, missed in all_nodes(golden_epochs) if "verifier-outage" in paid.reasons]
    assert unseen
    for paid, missed in unseen:
        outage = next(each for each in missed if each.name == "resolved-hours")
        assert (outage.cost_wei, outage.has, outage.needs) == (None, 0, 1)
        assert paid.pay_wei == 0


def test_two_thresholds_missed_at_once_cost_nothing_alone_but_together(golden_epochs: list[GoldenEpoch]) -> None:
    example, broken = golden_epochs[0], {"capacity_passes": 0, "up_minutes": 0}
    for whole, otherwise in settled(example):
        paid = otherwise(broken)

        def mended(changes: Mapping[str, int], otherwise: Otherwise = otherwise) -> NodeStatement:
            return otherwise({**broken, **changes})

        missed = missed_thresholds(paid, example.policy, mended)
        assert [each.cost_wei for each in missed] == [0, 0, 0]
        minutes = -(-example.policy.u_full_ppm * whole.expected_minutes // 10**6)
        assert together_wei(missed, paid, mended) == otherwise({"up_minutes": minutes}).pay_wei > 0


def test_one_missed_threshold_has_no_sum(golden_epochs: list[GoldenEpoch]) -> None:
    alone = [each for each in all_nodes(golden_epochs) if len(each[2]) == 1]
    assert alone
    assert all(together_wei(missed, paid, otherwise) is None for paid, otherwise, missed in alone)


def test_a_node_that_missed_nothing_has_no_costs(golden_epochs: list[GoldenEpoch]) -> None:
    for paid, otherwise, missed in all_nodes(golden_epochs[:1]):
        if paid.u_ppm == 10**6:
            assert missed == ()
            assert low_efficiency_wei(paid, otherwise) >= 0
