"""Words a report must use, and words it must never use (R7.10, R7.11)."""

import re
from collections.abc import Iterator
from typing import Final

from ledger.audit.reporting.document import Report
from ledger.model.errors import InvariantError

ELECTRICITY_MAPS: Final = "Electricity Maps (ODbL)"
YEARLY_SOURCE: Final = "Our World in Data and Ember (CC-BY)"
ATTRIBUTION: Final = (
    f"Grid data: hourly carbon intensity by {ELECTRICITY_MAPS}, as signed by the epoch's data verifiers;"
    f" yearly figures by {YEARLY_SOURCE}."
)
FORBIDDEN: Final = (
    r"carbon[\s\-]*neutral",
    r"climate[\s\-]*neutral",
    r"net[\s\-]*zero",
    r"\b100(\.0+)?\s*(%|percent|per cent)\s*(renewable|green|clean|carbon[\s\-]*free)",
)
_FORBIDDEN: Final = re.compile("|".join(FORBIDDEN), re.IGNORECASE)


def check_words(report: Report) -> None:
    """Raise InvariantError when the report itself claims what no report of this ledger may claim.

    What others wrote (a supplier's link, a model's name) is quoted as it is and not judged.
    """
    for text in _own_words(report):
        found = _FORBIDDEN.search(text)
        if found is not None:
            raise InvariantError(f"a report must not say {found[0]!r} (R7.10)")


def _own_words(report: Report) -> Iterator[str]:
    yield from (report.title, *report.headline)
    for section in report.sections:
        yield from (section.title, *section.sentences)
        for drawing in section.drawings:
            yield from (drawing.title, *drawing.legend, *(f"{bar.label} {bar.text}" for bar in drawing.bars))
        for table in section.tables:
            yield from (table.title, table.note, *(column.title for column in table.columns))
