"""Splits the epoch's budget over all scores, and refuses a result that does not add up (R4.13 to R4.20)."""

import polars as pl

from ledger.model.allocation import Opening, Totals
from ledger.model.errors import InvariantError
from ledger.model.policy import Policy
from ledger.model.units import MicrogramsCo2e, Wei
from ledger.rules.allocation import Allocation
from ledger.rules.statements import STATEMENT_COLUMNS
from ledger.rules.v1.carveout import carve_out
from ledger.rules.v1.lines import MAX_POOL_WEI, with_lines
from ledger.rules.v1.remainder import split
from ledger.rules.v1.scoring import Scores


def settle(scores: Scores, policy: Policy, opening: Opening) -> Allocation:
    """The allocation of an epoch whose nodes all are in `scores`; InvariantError if it does not conserve the budget."""
    if opening.rollover_in_wei < 0 or opening.carried_in_ug < 0:
        raise InvariantError(f"epoch {scores.epoch}: the opening values are negative: {opening}")
    nodes = scores.nodes.sort("node_id")
    if nodes["node_id"].is_duplicated().any():
        raise InvariantError(f"epoch {scores.epoch}: a node was scored twice")
    residual_ug = _sum(nodes, "residual_ug")
    carved = carve_out(policy, opening, residual_ug)
    if not 0 <= carved.pool_wei < MAX_POOL_WEI:
        raise InvariantError(f"epoch {scores.epoch}: a pool of {carved.pool_wei} wei is out of bounds")
    weights = nodes["weight"].to_list()
    shares, left_over = split(carved.pool_wei, weights)
    paid = nodes.with_columns(pay_wei=pl.Series(shares, dtype=pl.Int128))
    statements = with_lines(paid).select(pl.col(name).cast(kind) for name, kind in STATEMENT_COLUMNS.items())
    payout = sum(shares)
    totals = Totals(
        epoch=scores.epoch,
        budget_wei=policy.epoch_budget_wei,
        rollover_in_wei=opening.rollover_in_wei,
        reserve_wei=carved.reserve_wei,
        carbon_wei=carved.carbon_wei,
        pool_wei=carved.pool_wei,
        payout_wei=Wei(payout),
        rollover_out_wei=Wei(0 if any(weights) else carved.pool_wei),
        sum_weight=sum(weights),
        left_over_wei=left_over,
        location_ug=MicrogramsCo2e(_sum(nodes, "location_ug")),
        residual_ug=MicrogramsCo2e(residual_ug),
        carried_in_ug=opening.carried_in_ug,
        carried_out_ug=carved.carried_out_ug,
    )
    _check(totals, statements)
    return Allocation(
        totals=totals, statements=statements, hours_refused=scores.hours_refused, zone_hours=scores.zone_hours
    )


def _sum(frame: pl.DataFrame, column: str) -> int:
    return int(frame.select(pl.col(column).cast(pl.Int128).sum()).item())


def _check(totals: Totals, statements: pl.DataFrame) -> None:
    """Conservation (R4.19) and lines that sum to the pay (R4.20), from the columns that will be sealed."""
    if not totals.conserves or _sum(statements, "pay_wei") != totals.payout_wei:
        raise InvariantError(f"epoch {totals.epoch}: the allocation does not add up to budget and rollover: {totals}")
    lines = [pl.col(name) for name in ("base_wei", "efficiency_wei", "green_wei")]
    wrong = statements.filter(
        (lines[0] + lines[1] + lines[2] != pl.col("pay_wei")) | pl.min_horizontal(*lines, pl.col("pay_wei")).lt(0)
    )
    if len(wrong):
        raise InvariantError(
            f"epoch {totals.epoch}: the lines of node 0x{wrong['node_id'][0].hex()} do not sum to its pay"
        )
    if statements.null_count().sum_horizontal().item():
        raise InvariantError(f"epoch {totals.epoch}: a statement has a field without a value")
