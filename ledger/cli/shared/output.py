"""How answers are printed: data on stdout (table, JSON or CSV), talk on stderr.

Amounts in JSON and CSV are decimal strings of wei; a table adds a column in ATH and never drops the wei.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.model.errors import UsageError
from ledger.model.plain import ath, plain
from ledger.model.tabular import as_csv


class Format(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def in_a_folder(out: Path | None) -> Path | None:
    """Refuse a file to be written into a folder that is not there, before anything is done for it. UsageError."""
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist", hint="make it, or name another file with --out")
    return out


Output = Annotated[Format, typer.Option("-o", "--output", help="table, json or csv")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="the file to write (default: stdout)", callback=in_a_folder)
]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Which state of the ledger an answer speaks of."""

    epoch: int | None
    seq: int
    block: int | None
    head: str
    as_of_seq: int | None = None
    """The entry up to which an answer about an earlier moment reads; None for now."""

    def __str__(self) -> str:
        epoch = "no epoch sealed" if self.epoch is None else f"epoch {self.epoch}"
        block = "no block" if self.block is None else f"block {self.block}"
        head = f"{self.head[2:10]}…" if self.head else "none"
        now = f"{epoch} · seq {self.seq} · {block} · head {head}"
        return f"as of {now}" if self.as_of_seq is None else f"as of seq {self.as_of_seq} · the books go on to {now}"

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"epoch": self.epoch, "seq": self.seq, "block": self.block, "head": self.head}
        return told if self.as_of_seq is None else told | {"as_of_seq": self.as_of_seq}


def emit_rows(rows: Sequence[Row], output: Format, standing: Standing | None = None) -> None:
    """Print a list: one line a row. An empty list prints its standing and nothing else."""
    if output is Format.JSON:
        _print_json({"standing": standing.as_json() if standing else None, "data": [plain(row) for row in rows]})
        return
    columns = list(rows[0]) if rows else []
    if output is Format.CSV:
        sys.stdout.write(as_csv(rows, columns))
        return
    if rows:
        _print_table([*_with_ath(columns)], [_with_ath_values(row, columns) for row in rows])
    else:
        talk("nothing to show")
    if standing:
        talk(str(standing))


def emit_fact(fact: Row, output: Format, standing: Standing | None = None) -> None:
    """Print one thing: a field a line."""
    if output is Format.JSON:
        _print_json({"standing": standing.as_json() if standing else None, "data": plain(fact)})
        return
    if output is Format.CSV:
        emit_rows([fact], output)
        return
    width = max((len(name) for name in fact), default=0)
    for name, value in fact.items():
        shown = _text(plain(value, name))
        if name.endswith("_wei") and isinstance(value, int):
            shown += f"  ({ath(value)} ATH)"
        print(f"{name.ljust(width)}  {shown}")
    if standing:
        talk(str(standing))


def talk(message: str) -> None:
    """Say something to the person, not to the pipe."""
    print(message, file=sys.stderr)


def is_coloured() -> bool:
    """Whether stderr may carry colour: a terminal, and NO_COLOR unset."""
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ


def _with_ath(columns: Sequence[str]) -> list[str]:
    named: list[str] = []
    for column in columns:
        named.append(column)
        if column.endswith("_wei"):
            named.append(column.removesuffix("_wei") + "_ath")
    return named


def _with_ath_values(row: Row, columns: Sequence[str]) -> list[str]:
    values: list[str] = []
    for column in columns:
        value = row[column]
        values.append(_text(plain(value, column)))
        if column.endswith("_wei"):
            values.append(ath(value) if isinstance(value, int) else "")
    return values


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(column), *(len(row[index]) for row in rows)) for index, column in enumerate(columns)]
    numeric = [all(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    for line in (columns, *rows):
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        )
        print("  ".join(cells).rstrip())


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").lstrip("-").isdigit() or not text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
