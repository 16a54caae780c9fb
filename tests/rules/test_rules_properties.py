"""What holds for every epoch, whatever its evidence."""

from dataclasses import replace

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from vectors.strategies import EpochInputs, epochs

from ledger.rules.allocation import Allocation
from ledger.rules.v1 import allocate, combine, score, settle, shard


def result_of(epoch: EpochInputs) -> Allocation:
    return allocate(epoch.evidence, epoch.policy, epoch.tables, epoch.opening)


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
