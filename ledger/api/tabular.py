"""A list as CSV: one row a line, the same columns whether there are rows or not."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

from ledger.audit.reporting.machine import harmless
from ledger.model.plain import plain

MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"


def as_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> bytes:
    """The rows' columns as CSV. A stranger's words never become a spreadsheet's formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(plain(row[column], column)) for column in columns] for row in rows)
    return out.getvalue().encode("utf-8")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value if value.removeprefix("-").isdecimal() else harmless(value)
