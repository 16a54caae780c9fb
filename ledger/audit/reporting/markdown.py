"""A report as Markdown."""

from collections.abc import Iterator

from ledger.audit.reporting.document import Report, Table
from ledger.audit.reporting.exact import Unit, text_of


def markdown(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {report.title}"
    yield ""
    yield f"{report.period}"
    yield ""
    yield " · ".join(f"**{sentence}**" for sentence in report.headline)
    yield ""
    for name, value in report.facts:
        yield f"- {name}: `{value}`"
    for number, section in enumerate(report.sections, start=1):
        yield ""
        yield f"## {number}. {section.title} ({section.rule})"
        for sentence in section.sentences:
            yield ""
            yield sentence
        for table in section.tables:
            yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield ""
    yield f"### {table.title}"
    yield ""
    if table.rows:
        yield "| " + " | ".join(_cell(column.title) for column in table.columns) + " |"
        yield "|" + "|".join("---" if column.unit is Unit.TEXT else "---:" for column in table.columns) + "|"
        for row in table.rows:
            cells = (_cell(text_of(value, column.unit)) for value, column in zip(row, table.columns, strict=True))
            yield "| " + " | ".join(cells) + " |"
    for line in (table.note, table.attribution):
        if line:
            yield ""
            yield line


def _cell(text: str) -> str:
    """Text that cannot leave its cell, whoever wrote it."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
    return " ".join(escaped.split())
