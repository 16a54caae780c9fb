"""Records as columns: which columns a schema has, in which order they stand, and when they are well-formed.

The same checks judge a batch at the sender, at the door and at acceptance, so nobody can sign what will
be refused for its form. What a record may say about a node it names is judged elsewhere.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from ledger.evidence.items.columns import CLAIM_COLUMNS, ENERGY_COLUMNS, GRID_COLUMNS, UPTIME_COLUMNS
from ledger.evidence.items.typed_data import Schema
from ledger.model.units import SECONDS_PER_HOUR, Timestamp

if TYPE_CHECKING:  # who checks no records need not load it
    import numpy as np
    import numpy.typing as npt

MAX_RECORDS: Final = 65_536
MAX_HOURS: Final = 168
MAX_FACTOR_MG: Final = 2_000_000
MAX_DEVICE_CAPACITY_W: Final = 10**11
MAX_CLAIM_WH: Final = 10**12
MAX_WH_ID: Final = 2**63 - 2
"""One below the largest signed 64-bit number, so that the end after a range is a number too."""

RECORD_COLUMNS: Final[dict[Schema, dict[str, pl.DataType]]] = {
    Schema.UPTIME: UPTIME_COLUMNS,
    Schema.ENERGY: ENERGY_COLUMNS,
    Schema.RENEWABLE: CLAIM_COLUMNS,
    Schema.GRID: GRID_COLUMNS,
}
KEY_COLUMNS: Final[dict[Schema, tuple[str, ...]]] = {
    Schema.UPTIME: ("node_id", "window_start"),
    Schema.ENERGY: ("node_id", "window_start"),
    Schema.RENEWABLE: ("registry_id", "issuance_id", "range_start", "node_id"),
    Schema.GRID: ("zone", "window_start"),
}
HOURLY_WIDTHS: Final[dict[Schema, dict[str, int]]] = {
    Schema.UPTIME: {"up_mask": 8, "seen_mask": 8},
    Schema.ENERGY: {"active_gpu_sec": 4, "gpu_millijoule": 8, "it_wh": 4, "water_ml": 4},
    Schema.RENEWABLE: {},
    Schema.GRID: {"location_ef": 4, "residual_ef": 4, "flags": 1},
}
"""Bytes per hour of each hourly array."""

_LARGEST: Final = {"capacity_check": 2, "meter_class": 3}
_ZONE_PATTERN: Final = r"^[!-~]{1,32}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Whole hours, from the first second to the first second after."""

    start: Timestamp
    end: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with one record: its index in key order, the refusal's code, what was found."""

    index: int
    code: str
    detail: str


def sort_records(schema: Schema, frame: pl.DataFrame) -> pl.DataFrame:
    """The schema's columns in order, the records ascending by key."""
    return frame.select(list(RECORD_COLUMNS[schema])).sort(list(KEY_COLUMNS[schema]))


def key_fault(schema: Schema, frame: pl.DataFrame) -> str:
    """'' when the keys ascend strictly, else `batch.order` or `batch.duplicate-key` (R3.3, E3.4)."""
    keys = frame.select(list(KEY_COLUMNS[schema]))
    if not keys.equals(keys.sort(keys.columns)):
        return "batch.order"
    return "batch.duplicate-key" if keys.is_duplicated().any() else ""


def malformed_record(schema: Schema, frame: pl.DataFrame, window: Window) -> Fault | None:
    """The first record that is not well-formed, which refuses the whole batch (R3.11); None when all are."""
    first: Fault | None = None
    for detail, wrong in _form_checks(schema, window).items():
        places = frame.select(wrong.fill_null(value=True).arg_true().head(1).alias("at"))["at"]
        if len(places) and (first is None or places[0] < first.index):
            first = Fault(index=int(places[0]), code="record.malformed", detail=detail)
    return first


def bound_faults(schema: Schema, frame: pl.DataFrame) -> list[Fault]:
    """Well-formed records whose own values cannot be: each is refused for itself (R3.7, R3.11)."""
    match schema:
        case Schema.UPTIME:
            wrong = _bad_masks(frame)
            return _faults(wrong, "uptime.mask", "a minute is up but not seen, or beyond minute 59")
        case Schema.GRID:
            return _faults(_bad_factors(frame), "grid.bounds", f"a factor above {MAX_FACTOR_MG} or an unknown flag")
        case Schema.RENEWABLE:
            wrong = frame.select(_bad_claim().alias("wrong"))["wrong"].to_numpy()
            return _faults(wrong, "certificate.bounds", "range, capacity or production time out of bounds")
        case Schema.ENERGY:
            return []


def hourly_values(series: pl.Series, width: int) -> "npt.NDArray[np.uint64]":
    """All hours of all records of one hourly array, one after the other."""
    import numpy as np

    kind = {1: ">u1", 4: ">u4", 8: ">u8"}[width]
    return np.frombuffer(b"".join(series.to_list()), dtype=kind).astype(np.uint64)


def _form_checks(schema: Schema, window: Window) -> dict[str, pl.Expr]:
    checks: dict[str, pl.Expr] = {}
    for member in schema.struct.members:
        column = pl.col(member.column)
        if member.type in ("bytes32", "address") and not member.is_text:
            width = 20 if member.type == "address" else 32
            checks[f"{member.name} is not {width} bytes long"] = column.bin.size() != width
        elif member.is_integer:
            largest = _LARGEST.get(member.column, 2 ** min(member.bits, 63) - 1)
            checks[f"{member.name} is not in 0…{largest}"] = ~column.is_between(0, largest)
        elif member.is_text:
            checks[f"{member.name} is not 1 to 32 printable ASCII characters"] = ~column.str.contains(_ZONE_PATTERN)
    if schema is Schema.RENEWABLE:
        return checks
    start, hours = pl.col("window_start"), pl.col("hours")
    inside = start.is_between(window.start, window.end - SECONDS_PER_HOUR)
    checks["hours is not in 1…168"] = ~hours.is_between(1, MAX_HOURS)
    checks["windowStart is not a whole hour of the batch's window"] = ~inside | (start % SECONDS_PER_HOUR != 0)
    checks["the record ends after the batch's window"] = inside & (start + hours * SECONDS_PER_HOUR > window.end)
    for column_name, width in HOURLY_WIDTHS[schema].items():
        size = pl.col(column_name).bin.size().cast(pl.Int64)
        checks[f"{column_name} is not {width} bytes for each hour"] = size != hours * width
    return checks


def _bad_masks(frame: pl.DataFrame) -> "npt.NDArray[np.bool_]":
    import numpy as np

    up, seen = hourly_values(frame["up_mask"], 8), hourly_values(frame["seen_mask"], 8)
    return _any_per_record(frame, ((up & ~seen) | (seen >> np.uint64(60))) != 0)


def _bad_factors(frame: pl.DataFrame) -> "npt.NDArray[np.bool_]":
    location, residual = hourly_values(frame["location_ef"], 4), hourly_values(frame["residual_ef"], 4)
    flags = hourly_values(frame["flags"], 1)
    return _any_per_record(frame, (location > MAX_FACTOR_MG) | (residual > MAX_FACTOR_MG) | (flags > 3))


def _any_per_record(frame: pl.DataFrame, wrong: "npt.NDArray[np.bool_]") -> "npt.NDArray[np.bool_]":
    import numpy as np

    if not frame.height:
        return wrong
    starts = np.concatenate(([0], np.cumsum(frame["hours"].to_numpy())[:-1]))
    return np.logical_or.reduceat(wrong, starts)


def _bad_claim() -> pl.Expr:
    start, end = pl.col("range_start"), pl.col("range_end")
    return (
        (end < start)
        | (end > MAX_WH_ID)
        | (end - start >= MAX_CLAIM_WH)
        | ~pl.col("device_capacity_w").is_between(1, MAX_DEVICE_CAPACITY_W)
        | (pl.col("production_end") <= pl.col("production_start"))
    )


def _faults(wrong: "npt.NDArray[np.bool_]", code: str, detail: str) -> list[Fault]:
    return [Fault(index=int(index), code=code, detail=detail) for index in wrong.nonzero()[0]]
