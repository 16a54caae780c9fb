"""What one batch's records say about one node, in a line: measured once for each record, summed for each answer."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.evidence.items.typed_data import Schema
from ledger.model.units import Address

if TYPE_CHECKING:
    import polars as pl

CreditKey = tuple[bytes, bytes, int, bytes]
"""What names a credited claim of one node: registry, issuance, start of the range, verifier."""

SUBJECT: Final = {
    Schema.UPTIME: "node_id",
    Schema.ENERGY: "node_id",
    Schema.RENEWABLE: "node_id",
    Schema.GRID: "zone",
}
"""Which column says what a record is about."""
MEASURES: Final = {
    Schema.UPTIME: ("hours", "up_minutes", "seen_minutes", "capacity_check"),
    Schema.ENERGY: ("hours", "it_wh", "active_gpu_sec", "pue_e4", "meter_class"),
    Schema.RENEWABLE: ("registry_id", "issuance_id", "range_start", "range_end"),
    Schema.GRID: ("hours", "lowest_location_mg", "highest_location_mg"),
}
"""What is kept of one record."""
_READ: Final = {
    Schema.UPTIME: ("hours", "up_mask", "seen_mask", "capacity_check"),
    Schema.ENERGY: ("hours", "it_wh", "active_gpu_sec", "pue_e4", "meter_class"),
    Schema.RENEWABLE: MEASURES[Schema.RENEWABLE],
    Schema.GRID: ("hours", "location_ef"),
}
_CAPACITY: Final = {0: "not run", 1: "pass", 2: "fail"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One record's place in its batch by key order, and its measures in the schema's order."""

    record: int
    values: Sequence[Any]


def measured(schema: Schema, records: "pl.DataFrame") -> Iterator[tuple[Any, ...]]:
    """For each record of a batch: what it is about, its place, its measures. An ill-formed one is measured as it is."""
    read = (SUBJECT[schema], *_READ[schema])
    for record, (subject, *values) in enumerate(records.select(read).iter_rows()):
        match schema:
            case Schema.UPTIME:
                hours, up_mask, seen_mask, check = values
                yield subject, record, hours, _bits(up_mask), _bits(seen_mask), check
            case Schema.ENERGY:
                hours, it_wh, active, pue, meter = values
                yield subject, record, hours, sum(_words(it_wh)), sum(_words(active)), pue, meter
            case Schema.RENEWABLE:
                yield (subject, record, *values)
            case Schema.GRID:
                hours, location = values
                factors = _words(location) or (0,)
                yield subject, record, hours, min(factors), max(factors)


def summary(
    schema: Schema, found: Iterable[Measured], verifier: Address, credited: dict[CreditKey, int]
) -> dict[str, int | str]:
    """Sums over one node's (or zone's) records in one batch, in the units of the schema.

    `credited` holds Wh by claim; what is shown is taken out, because a claim repeated in another batch counts once.
    """
    columns = dict(zip(MEASURES[schema], zip(*(each.values for each in found), strict=True), strict=True))
    match schema:
        case Schema.UPTIME:
            checks = sorted({_CAPACITY.get(check, str(check)) for check in columns["capacity_check"]})
            return {
                "hours": sum(columns["hours"]),
                "up_minutes": sum(columns["up_minutes"]),
                "seen_minutes": sum(columns["seen_minutes"]),
                "capacity_check": ", ".join(checks),
            }
        case Schema.ENERGY:
            return {
                "hours": sum(columns["hours"]),
                "it_wh": sum(columns["it_wh"]),
                "active_gpu_sec": sum(columns["active_gpu_sec"]),
                "pue_e4": max(columns["pue_e4"]),
                "meter_class": min(columns["meter_class"]),
            }
        case Schema.RENEWABLE:
            claims = list(zip(*(columns[name] for name in MEASURES[schema]), strict=True))
            return {
                "claims": len(claims),
                "claimed_wh": sum(end - start + 1 for _, _, start, end in claims),
                "credited_wh": sum(
                    credited.pop((registry, issuance, start, bytes(verifier)), 0)
                    for registry, issuance, start, _ in claims
                ),
            }
        case Schema.GRID:
            return {
                "hours": sum(columns["hours"]),
                "lowest_location_mg": min(columns["lowest_location_mg"]),
                "highest_location_mg": max(columns["highest_location_mg"]),
            }


def _bits(masks: bytes) -> int:
    return int.from_bytes(masks, "big").bit_count()


def _words(hourly: bytes) -> tuple[int, ...]:
    """An hourly array's values of four bytes; what is left of one that is cut says nothing."""
    whole = len(hourly) // 4
    return struct.unpack(f">{whole}I", hourly[: 4 * whole])
