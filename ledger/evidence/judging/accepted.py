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
UPTIME_COLUMNS: dict[str, pl.DataType] = {
    "node_id": pl.Binary(),
    "window_start": pl.Int64(),
    "hours": pl.Int64(),
    "up_mask": pl.Binary(),
    "seen_mask": pl.Binary(),
    "capacity_check": pl.Int64(),
}
ENERGY_COLUMNS: dict[str, pl.DataType] = {
    "node_id": pl.Binary(),
    "window_start": pl.Int64(),
    "hours": pl.Int64(),
    "zone": pl.String(),
    "gpu_count": pl.Int64(),
    "pue_e4": pl.Int64(),
    "meter_class": pl.Int64(),
    "active_gpu_sec": pl.Binary(),
    "gpu_millijoule": pl.Binary(),
    "it_wh": pl.Binary(),
    "water_ml": pl.Binary(),
}
CLAIM_COLUMNS: dict[str, pl.DataType] = {
    "registry_id": pl.Binary(),
    "issuance_id": pl.Binary(),
    "range_start": pl.Int64(),
    "range_end": pl.Int64(),
    "device_id": pl.Binary(),
    "device_capacity_w": pl.Int64(),
    "source": pl.Int64(),
    "tier": pl.Int64(),
    "zone": pl.String(),
    "production_start": pl.Int64(),
    "production_end": pl.Int64(),
    "node_id": pl.Binary(),
    "consumption_hour": pl.Int64(),
    "beneficiary": pl.Binary(),
    "cancelled_at": pl.Int64(),
    "cancellation_ref": pl.Binary(),
}
GRID_COLUMNS: dict[str, pl.DataType] = {
    "zone": pl.String(),
    "window_start": pl.Int64(),
    "hours": pl.Int64(),
    "location_ef": pl.Binary(),
    "residual_ef": pl.Binary(),
    "flags": pl.Binary(),
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
