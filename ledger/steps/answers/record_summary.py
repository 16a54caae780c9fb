"""What one batch's records say about one node, in a line."""

import polars as pl

from ledger.evidence.records import hourly_values
from ledger.evidence.typed_data import Schema
from ledger.model.units import Address

CLAIM_KEY = ("registry_id", "issuance_id", "range_start", "verifier")
"""What names a credited claim of one node."""
_CAPACITY = ("not run", "pass", "fail")


def summary(
    schema: Schema, found: pl.DataFrame, verifier: Address, credited: dict[tuple[bytes, ...], int]
) -> dict[str, int | str]:
    """Sums over one node's (or zone's) records in one batch, in the units of the schema.

    `credited` holds Wh by `CLAIM_KEY`; what is shown is taken out, because a claim repeated in another batch
    counts once.
    """
    match schema:
        case Schema.UPTIME:
            checks = sorted({_CAPACITY[check] for check in found["capacity_check"].to_list()})
            return {
                "hours": sum(found["hours"].to_list()),
                "up_minutes": _bits(found["up_mask"]),
                "seen_minutes": _bits(found["seen_mask"]),
                "capacity_check": ", ".join(checks),
            }
        case Schema.ENERGY:
            return {
                "hours": sum(found["hours"].to_list()),
                "it_wh": sum(hourly_values(found["it_wh"], 4).tolist()),
                "active_gpu_sec": sum(hourly_values(found["active_gpu_sec"], 4).tolist()),
                "pue_e4": max(found["pue_e4"].to_list()),
                "meter_class": min(found["meter_class"].to_list()),
            }
        case Schema.RENEWABLE:
            keys = found.with_columns(pl.lit(bytes(verifier)).alias("verifier")).select(*CLAIM_KEY).iter_rows()
            claimed = found.select((pl.col("range_end") - pl.col("range_start") + 1).sum()).item()
            return {
                "claims": found.height,
                "claimed_wh": claimed,
                "credited_wh": sum(credited.pop(tuple(key), 0) for key in keys),
            }
        case Schema.GRID:
            factors = hourly_values(found["location_ef"], 4).tolist()
            return {
                "hours": sum(found["hours"].to_list()),
                "lowest_location_mg": min(factors),
                "highest_location_mg": max(factors),
            }


def _bits(masks: pl.Series) -> int:
    return sum(value.bit_count() for value in hourly_values(masks, 8).tolist())
