"""What an epoch would have paid had one node's counts been others, everybody else's weight as it was.

The same formulas and the same split, run again: an explanation never has a second copy of a rule.
"""

from collections.abc import Mapping

import polars as pl

from ledger.model.allocation import NodeStatement, Opening
from ledger.model.errors import InvariantError
from ledger.model.policy import Policy, Tables
from ledger.model.units import EpochNumber, NodeId
from ledger.rules.allocation import HOURS_REFUSED_COLUMNS, ZONE_HOUR_COLUMNS
from ledger.rules.statements import statement_rows
from ledger.rules.v1.distribution import settle
from ledger.rules.v1.factors import with_factors
from ledger.rules.v1.scoring import SCORE_COLUMNS, Scores


def resettle(
    statements: pl.DataFrame,
    node_id: NodeId,
    changes: Mapping[str, int],
    *,
    epoch: EpochNumber,
    policy: Policy,
    tables: Tables,
    opening: Opening,
) -> NodeStatement:
    """The node's statement with some of its counts or sums (names of `NodeStatement`) set to other values.

    Factors and weight of the node follow by R4.1 to R4.11, its pay and lines by R4.13 to R4.20 over all nodes.
    Without changes it is the statement itself. InvariantError when the node is not there.
    """
    nodes = statements.select(list(SCORE_COLUMNS))
    one = nodes.filter(pl.col("node_id") == node_id)
    if one.height != 1:
        raise InvariantError(f"epoch {epoch}: node 0x{node_id.hex()} has {one.height} statements")
    figures = tables.models[one["model"][0]]
    counted = one.with_columns(
        pl.lit(figures.capacity_milli, dtype=pl.Int64).alias("capacity_milli"),
        *(pl.lit(value, dtype=pl.Int64).alias(name) for name, value in changes.items()),
    )
    again = with_factors(counted, policy).select(pl.col(name).cast(kind) for name, kind in SCORE_COLUMNS.items())
    scores = Scores(
        epoch=epoch,
        nodes=pl.concat([nodes.filter(pl.col("node_id") != node_id), again]),
        hours_refused=pl.DataFrame(schema=HOURS_REFUSED_COLUMNS),
        zone_hours=pl.DataFrame(schema=ZONE_HOUR_COLUMNS),
    )
    settled = settle(scores, policy, opening).statements
    return next(statement_rows(settled.filter(pl.col("node_id") == node_id)))
