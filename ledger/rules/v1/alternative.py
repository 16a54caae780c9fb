"""What one node would have been paid had its counts been others, everybody else's weight as it was.

The same formulas and the same split, run again for the one node: an explanation never has a second copy of a rule.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from ledger.model.allocation import NodeStatement, Opening
from ledger.model.policy import Policy, Tables
from ledger.rules.statements import STATEMENT_COLUMNS, statement_rows
from ledger.rules.v1.carveout import carve_out
from ledger.rules.v1.factors import with_factors
from ledger.rules.v1.lines import with_lines
from ledger.rules.v1.one_share import Weights


def resettle(
    paid: NodeStatement,
    changes: Sequence[Mapping[str, int]],
    *,
    weights: Weights,
    place: int,
    residual_ug: int,
    policy: Policy,
    tables: Tables,
    opening: Opening,
) -> list[NodeStatement]:
    """The node's statement with some of its counts or sums (names of `NodeStatement`) set to other values; one for each
    of the changes.

    `weights` are all weights of the epoch by ascending node id, `place` is the node's among them, `residual_ug` the
    epoch's residual emissions. Factors and weight follow by R4.1 to R4.11, pay and lines by R4.13 to R4.20. Without
    changes it is the statement itself.
    """
    stated = {name: getattr(paid, name) for name in STATEMENT_COLUMNS}
    counted = pl.DataFrame([{**stated, **change} for change in changes], schema=STATEMENT_COLUMNS).with_columns(
        capacity_milli=pl.lit(tables.models[paid.model].capacity_milli, dtype=pl.Int64)
    )
    again = with_factors(counted, policy)
    pool_wei = carve_out(policy, opening, residual_ug).pool_wei
    shares = [weights.share(place, weight, pool_wei) for weight in again["weight"].to_list()]
    settled = with_lines(again.with_columns(pay_wei=pl.Series(shares, dtype=pl.Int128)))
    return list(statement_rows(settled.select(pl.col(name).cast(kind) for name, kind in STATEMENT_COLUMNS.items())))
