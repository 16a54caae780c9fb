"""What a report is made of before it has a form: sections, their tables, and the exact value in every cell."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ledger.audit.reporting.exact import Cell, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name in JSON and CSV, its heading for people, and what it counts."""

    name: str
    heading: str
    unit: Unit = Unit.TEXT

    @property
    def title(self) -> str:
        """The heading with the unit the text is shown in."""
        return f"{self.heading} ({self.unit.shown})" if self.unit.shown else self.heading


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells, one a column."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    attribution: str = ""
    """Whose grid data is in it (R7.11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a drawing: what it is, how long, and how much of it is filled with the second colour."""

    label: str
    value: int
    filled: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A few bars. Lengths are for the eye; the exact figures stand in the tables."""

    title: str
    bars: Sequence[Bar]
    legend: tuple[str, str] = ("", "")
    """What the whole bar and its filled part mean; two empty texts: plain bars."""
    attribution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One of the report's sections, by the number of its rule."""

    rule: str
    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    drawings: Sequence[Drawing] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole report of one epoch, or of several together."""

    title: str
    period: str
    headline: Sequence[str]
    facts: Sequence[tuple[str, str]]
    """What ties it to the books and the chain: name and value."""
    sections: Sequence[Section] = field(default_factory=tuple)
