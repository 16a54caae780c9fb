"""Two calculators, written apart from one specification, agree on every column of every statement and every total."""

import random

import pytest
from hypothesis import given, settings
from vectors.border_epochs import random_epoch
from vectors.loader import golden_epochs
from vectors.strategies import EpochInputs, epochs

from ledger.audit.calculator import recompute
from ledger.audit.comparison import first_difference, first_difference_of_rows, first_difference_of_totals
from ledger.audit.details.rows import RefusedReading, ZoneHour
from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.allocation import Opening
from ledger.model.policy import Policy, Tables
from ledger.rules.statements import statement_rows
from ledger.rules.v1 import allocate


def assert_agreement(evidence: AcceptedEvidence, policy: Policy, tables: Tables, opening: Opening) -> None:
    produced = allocate(evidence, policy, tables, opening)
    recomputed = recompute(evidence, policy, tables, opening)
    difference = first_difference(recomputed.statements, statement_rows(produced.statements))
    assert difference is None, str(difference)
    difference = first_difference_of_totals(recomputed.totals, produced.totals)
    assert difference is None, str(difference)
    for kind, rows, frame in (
        (ZoneHour, recomputed.zone_hours, produced.zone_hours),
        (RefusedReading, recomputed.hours_refused, produced.hours_refused),
    ):
        stored = [kind(**row) for row in frame.iter_rows(named=True)]
        difference = first_difference_of_rows(kind.__name__, rows, stored)
        assert difference is None, str(difference)


@settings(max_examples=150, deadline=None)
@given(epochs())
def test_production_and_auditor_agree_on_any_small_epoch(inputs: EpochInputs) -> None:
    assert_agreement(inputs.evidence, inputs.policy, inputs.tables, inputs.opening)


@pytest.mark.parametrize("seed", range(40))
def test_production_and_auditor_agree_at_the_borders_of_the_rules(seed: int) -> None:
    assert_agreement(*random_epoch(seed, nodes=12, hours=6))


def test_production_and_auditor_agree_on_a_day_of_a_fleet() -> None:
    """Hundreds of nodes, so that remainders, shards and sums over the network matter."""
    assert_agreement(*random_epoch(2, nodes=200, hours=24))


def test_production_and_auditor_agree_on_the_longest_epoch() -> None:
    """R0.5: 168 hours."""
    assert_agreement(*random_epoch(3, nodes=4, hours=168))


def test_the_epochs_compared_have_refused_readings_and_every_kind_of_zone_hour() -> None:
    """So that agreeing on them means something."""
    found = [recompute(*random_epoch(seed, nodes=12, hours=6)) for seed in range(10)]
    assert sum(len(each.hours_refused) for each in found) > 10
    hours = [hour for each in found for hour in each.zone_hours]
    for name in ("estimated", "no_residual_mix", "missing", "charged_load_wh", "disputed_load_wh", "m1_wh"):
        assert {bool(getattr(hour, name)) for hour in hours} == {True, False}, name


def test_the_order_of_arrival_changes_nothing() -> None:
    """R0.4: the calculator gives the same result for rows in any order."""
    evidence, policy, tables, opening = random_epoch(11, nodes=20, hours=6)
    rng = random.Random(11)
    shuffled = AcceptedEvidence(
        epoch=evidence.epoch,
        window_start=evidence.window_start,
        hours=evidence.hours,
        **{
            name: frame.sample(fraction=1, shuffle=True, seed=rng.randrange(2**32))
            for name, frame in (
                ("nodes", evidence.nodes),
                ("uptime", evidence.uptime),
                ("energy", evidence.energy),
                ("claims", evidence.claims),
                ("grid", evidence.grid),
            )
        },
    )
    assert recompute(shuffled, policy, tables, opening) == recompute(evidence, policy, tables, opening)


def test_a_record_repeated_word_for_word_changes_nothing() -> None:
    """R2.2: a checker has one voice, however often it says the same."""
    epoch = golden_epochs()[0]
    evidence = epoch.evidence
    doubled = AcceptedEvidence(
        epoch=evidence.epoch,
        window_start=evidence.window_start,
        hours=evidence.hours,
        nodes=evidence.nodes,
        uptime=evidence.uptime.vstack(evidence.uptime),
        energy=evidence.energy.vstack(evidence.energy),
        claims=evidence.claims,
        grid=evidence.grid.vstack(evidence.grid),
    )
    once = recompute(evidence, epoch.policy, epoch.tables, epoch.opening)
    assert recompute(doubled, epoch.policy, epoch.tables, epoch.opening) == once
