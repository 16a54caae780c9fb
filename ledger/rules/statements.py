"""Node statements as columns: their types, a sealed file, rows, and sums per operator. Exact integers throughout.

In memory, amounts and weights are 128-bit integers; on disk decimal128(38,0), which every Parquet reader has.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ledger.model.allocation import NodeStatement
from ledger.model.durable import write_whole
from ledger.model.errors import MismatchError
from ledger.model.units import Address, Hash32, Wei

_WIDE = frozenset({"weight", "pay_wei", "base_wei", "efficiency_wei", "green_wei"})
_BYTES = frozenset({"node_id", "operator"})
_TEXT = frozenset({"model", "zone", "country", "reasons"})
_ROWS_PER_GROUP = 65_536


def _column_type(name: str) -> pl.DataType:
    if name in _WIDE:
        return pl.Int128()
    if name in _BYTES:
        return pl.Binary()
    return pl.String() if name in _TEXT else pl.Int64()


STATEMENT_COLUMNS: dict[str, pl.DataType] = {field.name: _column_type(field.name) for field in fields(NodeStatement)}


class OperatorTotal(NamedTuple):
    """What one operator earned in an epoch, and its lines over all its nodes."""

    operator: Address
    pay_wei: Wei
    base_wei: Wei
    efficiency_wei: Wei
    green_wei: Wei


def statement_rows(frame: pl.DataFrame) -> Iterator[NodeStatement]:
    """The statements one by one, in the frame's order."""
    names = list(STATEMENT_COLUMNS)
    for row in frame.select(names).iter_rows():
        yield NodeStatement(**dict(zip(names, row, strict=True)))


def operator_totals(frame: pl.DataFrame) -> list[OperatorTotal]:
    """Sums per operator, ascending by address; operators who earned nothing included (R4.21)."""
    lines = ["pay_wei", "base_wei", "efficiency_wei", "green_wei"]
    sums = frame.group_by("operator").agg(pl.col(lines).sum()).sort("operator")
    return [OperatorTotal(*row) for row in sums.iter_rows()]


def sealed_statements(frame: pl.DataFrame) -> bytes:
    """The sealed file's bytes; equal statements give equal bytes."""
    sealed = frame.select(
        pl.col(name).cast(pl.Decimal(38, 0)) if name in _WIDE else pl.col(name).cast(kind)
        for name, kind in STATEMENT_COLUMNS.items()
    ).rechunk()  # chunks left by the way it was computed would show in the file's pages
    buffer = BytesIO()
    sealed.write_parquet(
        buffer, compression="zstd", compression_level=3, row_group_size=_ROWS_PER_GROUP, statistics=False
    )
    return buffer.getvalue()


def unsealed_statements(content: bytes) -> pl.DataFrame:
    """The statements in a sealed file's bytes; MismatchError if they are none."""
    try:
        sealed = pl.read_parquet(content)
    except pl.exceptions.PolarsError as error:
        raise MismatchError(f"no statements file: {error}") from error
    expected = [(name, pl.Decimal(38, 0) if name in _WIDE else kind) for name, kind in STATEMENT_COLUMNS.items()]
    if list(sealed.schema.items()) != expected:
        raise MismatchError("no statements file: its columns are not those of a node statement")
    return sealed.select(pl.col(name).cast(kind) for name, kind in STATEMENT_COLUMNS.items())


def write_statements(frame: pl.DataFrame, path: Path) -> Hash32:
    """Write the sealed file, whole or not at all, and return its SHA-256."""
    content = sealed_statements(frame)
    write_whole(path, content)
    return Hash32(hashlib.sha256(content).digest())


def read_statements(path: Path) -> pl.DataFrame:
    """Read a sealed file back; MismatchError if it is none."""
    try:
        return unsealed_statements(path.read_bytes())
    except MismatchError as error:
        raise MismatchError(f"{path}: {error.what}") from error
