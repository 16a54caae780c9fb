"""Rows as lines of text, the same from both engines: tables in the order of their keys, nothing rounded or lost.

A line is a JSON list of the columns by name: whole numbers of 64 bits as numbers, larger ones as decimal strings, bytes
as hexadecimal.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Boolean, Column, Integer, LargeBinary, String, Table, Text, insert, literal, select, text
from sqlalchemy.orm import Session

from ledger.db.guards import check_guards, install_guards, remove_guards
from ledger.db.schema import Base, Uint64, Wei256
from ledger.model.errors import MismatchError

_MADE_AGAIN: Final = frozenset({"parts"})
"""Work that was done ahead: it is done again when it is missing."""
_ROWS_AT_ONCE: Final = 2_000
_BLOBS_AT_ONCE: Final = 4
_BYTES_AT_ONCE: Final = 16 << 20


class LineUnreadableError(MismatchError):
    """A line is no row of its table."""

    code = "backup.damaged"


def kept_tables() -> list[Table]:
    """Every table whose rows cannot be made again for nothing, those that others refer to first."""
    return [table for table in Base.metadata.sorted_tables if table.name not in _MADE_AGAIN]


def row_lines(session: Session, table: Table) -> Iterator[bytes]:
    """The names of the columns, then every row by ascending key. In bounded memory."""
    columns = list(table.columns)
    yield _line([column.name for column in columns])
    to_text = [_codec(column)[0] for column in columns]
    query = select(*columns).order_by(*(_exactly(session, column) for column in table.primary_key.columns))
    result = session.execute(query.execution_options(yield_per=_at_once(table)))
    try:
        for rows in result.partitions():
            for row in rows:
                yield _line([None if value is None else code(value) for code, value in zip(to_text, row, strict=True)])
    finally:
        result.close()


def load_rows(session: Session, tables: Mapping[str, Iterable[bytes]]) -> dict[str, int]:
    """Put rows into tables that are empty, guards off and on again in the same transaction; how many rows by table.

    `tables` must come in the order of `kept_tables`. Raises LineUnreadableError.
    """
    connection = session.connection()
    remove_guards(connection)
    counts: dict[str, int] = {}
    for name, lines in tables.items():
        table = Base.metadata.tables[name]
        counts[name] = 0
        for rows in _in_pieces(table, lines):
            connection.execute(insert(table), rows)
            counts[name] += len(rows)
        _continue_counting(session, table)
    install_guards(connection)
    check_guards(connection)
    return counts


def is_empty(session: Session) -> bool:
    """Whether no table holds a row."""
    return all(
        session.execute(select(literal(1)).select_from(table).limit(1)).first() is None for table in kept_tables()
    )


def _in_pieces(table: Table, lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    """The rows, so many at once as fit into little memory."""
    piece: list[dict[str, Any]] = []
    size, names = 0, list[str]()
    for number, line in enumerate(lines):
        try:
            values = json.loads(line)
            if number == 0:
                names = [table.columns[name].name for name in values]
                continue
            piece.append(_row(table, names, values))
        except (ValueError, KeyError, TypeError) as error:
            raise LineUnreadableError(f"line {number + 1} of {table.name} is no row: {error}") from error
        size += len(line)
        if len(piece) == _ROWS_AT_ONCE or size > _BYTES_AT_ONCE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _row(table: Table, names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {
        name: None if value is None else _codec(table.columns[name])[1](value)
        for name, value in zip(names, values, strict=True)
    }


def _at_once(table: Table) -> int:
    return _BLOBS_AT_ONCE if table.name == "blobs" else _ROWS_AT_ONCE


def _continue_counting(session: Session, table: Table) -> None:
    """Let PostgreSQL's own counter go on after the highest number that was put in by hand."""
    column = table.autoincrement_column
    if session.get_bind().dialect.name != "postgresql" or column is None or column.autoincrement is not True:
        return
    counter = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
    highest = f"(SELECT MAX({column.name}) FROM {table.name})"  # noqa: S608 - our own names
    session.execute(text(f"SELECT setval({counter}, {highest}) WHERE {highest} IS NOT NULL"))


def _exactly(session: Session, column: Column[Any]) -> Any:
    """Text by its bytes on PostgreSQL too, whatever language the database sorts in."""
    is_text = isinstance(column.type, String) and not isinstance(column.type, Wei256)
    return column.collate("C") if is_text and session.get_bind().dialect.name == "postgresql" else column


def _codec(column: Column[Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """How a column's value becomes JSON, and back."""
    match column.type:
        case Wei256() | Uint64():
            return str, int
        case LargeBinary():
            return bytes.hex, bytes.fromhex
        case Boolean():
            return bool, bool
        case Integer():
            return int, _whole
        case String() | Text():
            return str, str
        case other:
            raise TypeError(f"no line holds a column of type {other!r}")


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _line(values: Sequence[Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
