"""A report for programs: JSON with exact integers as text, and a CSV file a table."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ledger.audit.reporting.document import Column, Report, Table
from ledger.audit.reporting.exact import Cell, Ratio, Unit, text_of
from ledger.model.tabular import harmless
from ledger.tree.canonical import canonical_json

FORMAT: Final = "ath-ledger/report/1"


def as_json(report: Report) -> bytes:
    """Canonical JSON: quantities as decimal strings, ratios as numerator and denominator."""
    document = {
        "format": FORMAT,
        "title": report.title,
        "period": report.period,
        "headline": list(report.headline),
        "facts": dict(report.facts),
        "sections": [
            {
                "rule": section.rule,
                "title": section.title,
                "sentences": list(section.sentences),
                "tables": [_table(table) for table in section.tables],
            }
            for section in report.sections
        ],
    }
    return canonical_json(document)


def as_csv(report: Report) -> Mapping[str, str]:
    """The tables by name. Quantities are exact integers, a ratio has a column for either of its numbers."""
    return {table.name: _csv(table) for section in report.sections for table in section.tables}


def _csv(table: Table) -> str:
    """Grid figures go nowhere without their source (R7.11): such a table names it in a last column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ratios = [any(isinstance(row[at], Ratio) for row in table.rows) for at in range(len(table.columns))]
    names = [name for column, ratio in zip(table.columns, ratios, strict=True) for name in _names(column, ratio)]
    source = ["source"] if table.attribution else []
    writer.writerow(names + source)
    for row in table.rows:
        cells = [text for value, ratio in zip(row, ratios, strict=True) for text in _exact(value, ratio)]
        writer.writerow(cells + ([table.attribution] if source else []))
    return out.getvalue()


def _names(column: Column, ratio: bool) -> Iterator[str]:
    if ratio:
        yield from (f"{column.name}_numerator", f"{column.name}_denominator")
    else:
        yield column.name


def _exact(value: Cell, ratio: bool) -> Iterator[str]:
    if ratio:
        yield from (str(value.numerator), str(value.denominator)) if isinstance(value, Ratio) else ("", "")
    else:
        yield "" if value is None else harmless(str(value)) if isinstance(value, str) else str(value)


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": table.title,
        "columns": [{"name": each.name, "heading": each.heading, "unit": each.unit.exact} for each in table.columns],
        "rows": [
            {column.name: _value(value, column) for column, value in zip(table.columns, row, strict=True)}
            for row in table.rows
        ],
        "note": table.note,
        "attribution": table.attribution,
    }


def _value(value: Cell, column: Column) -> Any:
    if isinstance(value, Ratio):
        numerator, denominator = str(value.numerator), str(value.denominator)
        return {"numerator": numerator, "denominator": denominator, "text": text_of(value, column.unit)}
    if isinstance(value, int) and column.unit is not Unit.COUNT:
        return str(value)
    return value
