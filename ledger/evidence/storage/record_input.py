"""Records as a sender writes them before anything is signed: JSON, CSV or Parquet, in any order.

JSON and CSV use the names of the signed types (`nodeId`, `upMask`, bytes as 0x-hex); Parquet has the schema's
columns. Everything is refused with the codes a signed batch would be refused with.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ledger.evidence.items.batch import check_columns
from ledger.evidence.items.json_values import from_json, parse_json
from ledger.evidence.items.records import MAX_RECORDS, RECORD_COLUMNS
from ledger.evidence.items.typed_data import Schema
from ledger.evidence.storage.parquet_guard import check_parquet
from ledger.model.refusals import ItemRefusedError, refused

_PARQUET_MAGIC = b"PAR1"
_JSON_STARTS = (b"[", b"{")


def read_records(content: bytes, schema: Schema) -> pl.DataFrame:
    """The records in a file, with the schema's columns; which form it has is seen from its first bytes.

    Refuses with `file.…`; a single bad record is named by its place in the file, from 0.
    """
    if content[:4] == _PARQUET_MAGIC:
        return _from_parquet(content, schema)
    if content.lstrip()[:1] in _JSON_STARTS:
        return _from_rows(_json_rows(content), schema)
    return _from_rows(_csv_rows(content, schema), schema)


def _from_parquet(content: bytes, schema: Schema) -> pl.DataFrame:
    rows = check_parquet(content)
    if rows > MAX_RECORDS:
        raise refused("file.too-many-records", f"{rows} records, at most {MAX_RECORDS}")
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise refused("file.truncated", f"Parquet cannot be read: {str(error)[:200]}") from error
    expected = RECORD_COLUMNS[schema]
    if set(frame.columns) != set(expected):
        raise refused("file.columns", f"{schema.title} records have {', '.join(expected)}; got {frame.columns}")
    frame = frame.select(list(expected))
    try:
        frame = frame.with_columns(
            # other writers have narrower or unsigned integers; strict: what does not fit is no record
            pl.col(name).cast(pl.Int64, strict=True)
            for name, dtype in expected.items()
            if dtype == pl.Int64 and frame.schema[name].is_integer()
        )
    except pl.exceptions.InvalidOperationError as error:
        raise refused("file.value", "a number is 2⁶³ or more") from error
    check_columns(schema, frame)
    return frame


def _json_rows(content: bytes) -> Sequence[Any]:
    document = parse_json(content)
    rows = document.get("records") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise refused("file.header", "expected a list of records, or an object with the member records")
    return rows


def _csv_rows(content: bytes, schema: Schema) -> Sequence[Mapping[str, str]]:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True)
        head, *lines = [line for line in reader if line] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise refused("file.truncated", f"neither Parquet nor JSON, and no CSV: {error}") from error
    names = [member.name for member in schema.struct.members]
    if sorted(head) != sorted(names):
        raise refused("file.columns", f"{schema.title} records have {', '.join(names)}; got {', '.join(head)[:200]}")
    for place, line in enumerate(lines):
        if len(line) != len(head):
            raise refused("file.truncated", f"record {place} has {len(line)} fields of {len(head)}")
        if "" in line:
            raise refused("file.nulls", f"record {place}: {head[line.index('')]} is empty")
    return [dict(zip(head, line, strict=True)) for line in lines]


def _from_rows(rows: Sequence[Any], schema: Schema) -> pl.DataFrame:
    if len(rows) > MAX_RECORDS:
        raise refused("file.too-many-records", f"{len(rows)} records, at most {MAX_RECORDS}")
    values = []
    for place, row in enumerate(rows):
        try:
            record = from_json(schema.struct, row)
        except ItemRefusedError as error:
            raise refused(error.code, f"record {place}: {error.what}") from error
        if any(type(value) is int and value >> 63 for value in record.values()):
            raise refused("file.value", f"record {place}: a number is negative, or 2⁶³ or more")
        values.append(record)
    return pl.DataFrame(values, schema=RECORD_COLUMNS[schema], orient="row")
