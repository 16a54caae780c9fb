"""R3.10: one verifier, one subject, one hour, one content.

Records overlap rarely, so the columns only find which subjects have overlaps; those are then compared
hour by hour. What says the same about an hour is one statement, and reaches the rules once.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from ledger.evidence.items.records import HOURLY_WIDTHS
from ledger.evidence.items.typed_data import Schema
from ledger.model.units import SECONDS_PER_HOUR

_ORDER = ["verifier", "subject", "window_start", "batch", "record"]
_Row = dict[str, Any]


def equivocating_rows(schema: Schema, records: pl.DataFrame) -> list[int]:
    """`row` of every record that shares an hour with a record of other content by the same verifier.

    `records` has the schema's columns and row, verifier, batch and record. Content is the hour's readings
    and all fields of the record, so a differing capacityCheck is a differing content.
    """
    void: set[int] = set()
    for rows in _overlapping(schema, records):
        said: defaultdict[int, defaultdict[tuple[Any, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            for hour in range(row["hours"]):
                at = row["window_start"] + hour * SECONDS_PER_HOUR
                said[at][_content(schema, row, hour)].append(row["row"])
        void.update(
            number for contents in said.values() if len(contents) > 1 for rows in contents.values() for number in rows
        )
    return sorted(void)


def without_repeats(schema: Schema, records: pl.DataFrame) -> pl.DataFrame:
    """The records with every hour of a subject said once per verifier: a later record loses repeated hours.

    Records that equivocate must have been taken out. Overlapping records start one after the other, so what
    is repeated is always the beginning of the later one.
    """
    trimmed: list[_Row] = []
    touched: list[int] = []
    for rows in _overlapping(schema, records):
        reach = rows[0]["window_start"]
        for row in rows:
            touched.append(row["row"])
            skip = max(0, reach - row["window_start"]) // SECONDS_PER_HOUR
            if skip < row["hours"]:
                trimmed.append(_from_hour(schema, row, skip))
                reach = row["window_start"] + row["hours"] * SECONDS_PER_HOUR
    if not touched:
        return records
    untouched = records.filter(~pl.col("row").is_in(touched))
    return pl.concat([untouched, pl.DataFrame(trimmed, schema=records.schema, orient="row")])


def _overlapping(schema: Schema, records: pl.DataFrame) -> Iterator[list[_Row]]:
    """The records of each (verifier, subject) that has overlapping records, by start."""
    subject = pl.col("zone" if schema is Schema.GRID else "node_id").alias("subject")
    end = pl.col("window_start") + pl.col("hours") * SECONDS_PER_HOUR
    spans = (
        records.select("row", "verifier", subject, "window_start", "batch", "record", end.alias("end"))
        .sort(_ORDER)
        .with_columns(reach=pl.col("end").cum_max().shift(1).over("verifier", "subject"))
    )
    subjects = spans.filter(pl.col("window_start") < pl.col("reach")).select("verifier", "subject").unique()
    if not subjects.height:
        return
    found = (
        records.with_columns(subject)
        .join(subjects, on=["verifier", "subject"], how="semi")
        .sort(_ORDER)
        .partition_by(["verifier", "subject"], maintain_order=True)
    )
    for group in found:
        yield group.drop("subject").to_dicts()


def _content(schema: Schema, row: _Row, hour: int) -> tuple[Any, ...]:
    widths = HOURLY_WIDTHS[schema]
    return tuple(
        row[member.column][hour * widths[member.column] : (hour + 1) * widths[member.column]]
        if member.column in widths
        else row[member.column]
        for member in _said(schema)
    )


def _said(schema: Schema) -> Sequence[Any]:
    return [member for member in schema.struct.members if member.column not in ("window_start", "hours")]


def _from_hour(schema: Schema, row: _Row, skip: int) -> _Row:
    arrays = {name: row[name][skip * width :] for name, width in HOURLY_WIDTHS[schema].items()}
    start = row["window_start"] + skip * SECONDS_PER_HOUR
    return {**row, **arrays, "window_start": start, "hours": row["hours"] - skip}
