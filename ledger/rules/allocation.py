"""What rules of any version return: the epoch's totals and the frames that explain them."""

from dataclasses import dataclass

import polars as pl

from ledger.model.allocation import Totals

HOURS_REFUSED_COLUMNS: dict[str, pl.DataType] = {
    "node_id": pl.Binary(),
    "verifier": pl.Binary(),
    "hour": pl.Int64(),
    "code": pl.String(),
}
ZONE_HOUR_COLUMNS: dict[str, pl.DataType] = {
    "zone": pl.String(),
    "hour": pl.Int64(),
    "location_ef_mg": pl.Int64(),
    "residual_ef_mg": pl.Int64(),
    "estimated": pl.Boolean(),
    "no_residual_mix": pl.Boolean(),
    "missing": pl.Boolean(),
    "it_wh": pl.Int64(),
    "load_wh": pl.Int64(),
    "charged_load_wh": pl.Int64(),
    "disputed_load_wh": pl.Int64(),
    "m1_wh": pl.Int64(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """One epoch's result, every frame sorted by its key. Hours are numbered from the epoch's start."""

    totals: Totals
    statements: pl.DataFrame
    """`ledger.rules.statements.STATEMENT_COLUMNS`: one row per node, ascending node_id."""
    hours_refused: pl.DataFrame
    """`HOURS_REFUSED_COLUMNS`: energy readings outside the bounds, by (node_id, verifier, hour)."""
    zone_hours: pl.DataFrame
    """`ZONE_HOUR_COLUMNS`: of each zone with a node and each hour, the factors used, what they rest on, and the
    energy of its nodes. `missing`: no record, the yearly factor or 10⁶ was used; `estimated` and
    `no_residual_mix`: at least one signer said so. By (zone, hour)."""
