"""The auditor's calculator arrives at every figure the golden epochs demand (rewards spec R6)."""

import pytest
from vectors.golden_epoch import GoldenEpoch
from vectors.loader import golden_epochs

from ledger.audit.calculator import Recomputation, recompute
from ledger.audit.comparison import as_row

EPOCHS = golden_epochs()


def computed(epoch: GoldenEpoch) -> Recomputation:
    return recompute(epoch.evidence, epoch.policy, epoch.tables, epoch.opening)


@pytest.mark.parametrize("epoch", EPOCHS, ids=lambda epoch: epoch.name)
def test_totals_are_the_golden_ones(epoch: GoldenEpoch) -> None:
    totals = as_row(computed(epoch).totals)
    assert {name: totals[name] for name in epoch.expected_totals} == dict(epoch.expected_totals)


@pytest.mark.parametrize("epoch", EPOCHS, ids=lambda epoch: epoch.name)
def test_statements_are_the_golden_ones(epoch: GoldenEpoch) -> None:
    rows = {row.node_id: as_row(row) for row in computed(epoch).statements}
    for node, expected in epoch.expected_statements.items():
        found = {name: rows[node][name] for name in expected}
        assert found == dict(expected), f"{epoch.name}: {node.rstrip(bytes(1)).decode()}"


def test_the_worked_example_pays_what_the_specification_prints() -> None:
    """R6.2: the amounts are in the specification itself, so they are repeated here and not read from a file."""
    epoch = next(epoch for epoch in EPOCHS if epoch.name == "worked-example")
    result = computed(epoch)
    assert [row.pay_wei for row in result.statements] == [
        721622231880848551330,
        94424553082237484005,
        79080577108913964665,
    ]
    assert (result.totals.carbon_wei, result.totals.reserve_wei) == (4872637928000000000, 10**20)
    assert result.totals.left_over_wei == 1
    assert result.totals.payout_wei + result.totals.carbon_wei + result.totals.reserve_wei == 10**21
