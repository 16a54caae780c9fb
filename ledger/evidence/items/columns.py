"""Which columns records of each schema have, under the names the rules read."""

import polars as pl

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
