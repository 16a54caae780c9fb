"""What survives acceptance: the records that rules may count, as columnar frames.

The frames are sorted by their key and carry the records' own columns plus `verifier`, so two machines
with the same frozen evidence hold the same bytes whatever the order of arrival. Rules (production and
the auditor's) start here and read nothing else.
"""

from dataclasses import dataclass

import polars as pl

from ledger.model.units import EpochNumber, Timestamp

NODE_COLUMNS: dict[str, pl.DataType] = {
    "node_id": pl.Binary(),
    "operator": pl.Binary(),
    "model": pl.String(),
    "zone": pl.String(),
    "country": pl.String(),
    "gpu_count": pl.Int64(),
    "nameplate_w": pl.Int64(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedEvidence:
    """One epoch's accepted evidence.

    Hourly arrays are big-endian fixed-width integers, one per hour of the record (widths: masks 8,
    active 4, millijoule 8, Wh 4, ml 4, factors 4, flags 1 bytes), as signed. Times are Unix seconds.
    """

    epoch: EpochNumber
    window_start: Timestamp
    hours: int
    nodes: pl.DataFrame
    """`NODE_COLUMNS`: active registrations, ascending node_id."""
    uptime: pl.DataFrame
    """`UPTIME_COLUMNS` + verifier: only votes of a node's own checkers; by (node_id, verifier, window_start)."""
    energy: pl.DataFrame
    """`ENERGY_COLUMNS` + verifier: hours are judged by the rules; by (node_id, verifier, window_start)."""
    claims: pl.DataFrame
    """`CLAIM_COLUMNS` + verifier + credited_wh (Int64 > 0): certificates after every rule including single use."""
    grid: pl.DataFrame
    """`GRID_COLUMNS` + verifier; by (zone, verifier, window_start)."""
