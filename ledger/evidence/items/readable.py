"""Records for people: hourly arrays as numbers, minute masks as ranges of minutes."""

from collections.abc import Mapping
from typing import Any, Final

from ledger.evidence.items.records import HOURLY_WIDTHS
from ledger.evidence.items.typed_data import Schema
from ledger.model.units import MINUTES_PER_HOUR, to_hex

_MASKS: Final = frozenset({"up_mask", "seen_mask"})


def readable_record(schema: Schema, row: Mapping[str, Any]) -> dict[str, Any]:
    """A record by the names of its signed type; an hourly array has one value for each hour."""
    return {member.name: _shown(schema, member.column, row[member.column]) for member in schema.struct.members}


def minute_ranges(mask: int) -> str:
    """The minutes of an hour whose bit is set, as `0-12,14-59`; empty for none, bits beyond 59 included."""
    ranges: list[str] = []
    minute = 0
    while mask >> minute:
        if not mask >> minute & 1:
            minute += 1
            continue
        first = minute
        while mask >> minute & 1:
            minute += 1
        ranges.append(str(first) if minute == first + 1 else f"{first}-{minute - 1}")
    return ",".join(ranges)


def _shown(schema: Schema, column: str, value: Any) -> Any:
    width = HOURLY_WIDTHS[schema].get(column)
    if width is None:
        return to_hex(value) if isinstance(value, bytes) else value
    hours = [int.from_bytes(value[at : at + width], "big") for at in range(0, len(value), width)]
    if column not in _MASKS:
        return hours
    return [f"{hour.bit_count()}/{MINUTES_PER_HOUR}: {minute_ranges(hour)}" for hour in hours]
