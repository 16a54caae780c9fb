"""A list as CSV: one row a line, values as in JSON, and no word of a stranger that a spreadsheet takes as a formula."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ledger.model.plain import plain

CSV: Final = "text/csv; charset=utf-8; header=present"
"""Its media type."""


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The rows' columns, with a first line that names them also where there are no rows."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(plain(row[column], column)) for column in columns] for row in rows)
    return out.getvalue()


def harmless(text: str) -> str:
    """Text a spreadsheet takes as text: a stranger's words must not become a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") and len(text) > 1 else text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value if value.removeprefix("-").isdecimal() else harmless(value)
