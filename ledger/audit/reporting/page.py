"""A report as one self-contained page that prints well: no script, no font, no image from elsewhere."""

from collections.abc import Iterator
from html import escape
from typing import Final

from ledger.audit.reporting.document import Column, Report, Table
from ledger.audit.reporting.drawing import svg
from ledger.audit.reporting.exact import Cell, Unit, text_of

_SHORTENED: Final = 20
_STYLE: Final = """
:root { color-scheme: light; --ink: #1d2733; --pale: #5b6673; --line: #dfe4ea; --soft: #f5f7f9; --green: #2a7f62; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 40px 32px; background: #fff; color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 44px 0 8px; padding-top: 14px; border-top: 2px solid var(--ink); }
h2 small { color: var(--pale); font-size: 13px; font-weight: 400; }
h3 { font-size: 15px; margin: 24px 0 6px; }
.period, .note, .source { color: var(--pale); }
.source { font-size: 12px; } .note { font-size: 13px; }
.headline { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0; padding: 0; list-style: none; }
.headline li { background: var(--soft); border-left: 4px solid var(--green); padding: 10px 16px; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; font-size: 13px; margin: 0; }
dt { color: var(--pale); } dd { margin: 0; font: 13px ui-monospace, Menlo, Consolas, monospace; word-break: break-all; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; vertical-align: bottom; font-weight: 600; border-bottom: 1px solid var(--ink); }
td { border-bottom: 1px solid var(--line); vertical-align: top; }
th, td { padding: 4px 10px 4px 0; } .n { text-align: right; } td.n, td:nth-child(2):not(.id) { white-space: nowrap; }
tr.total td { font-weight: 600; background: var(--soft); }
svg { width: 100%; max-width: 860px; height: auto; margin: 14px 0 0; font: 12px system-ui, sans-serif; }
.id { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 11px; word-break: break-all; min-width: 14em; }
nav a { color: inherit; margin-right: 14px; display: inline-block; } nav { font-size: 13px; margin: 22px 0 0; }
@page { size: A4 landscape; margin: 14mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; } nav { display: none; }
  .wide { overflow: visible; } table { font-size: 7.5pt; } .id { font-size: 5.5pt; min-width: 11em; }
  thead { display: table-header-group; } tr, svg { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""


def page(report: Report) -> str:
    """The whole page."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(report.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f'<h1>{escape(report.title)}</h1>\n<p class="period">{escape(report.period)}</p>'
    yield '<ul class="headline">' + "".join(f"<li>{escape(each)}</li>" for each in report.headline) + "</ul>"
    yield "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in report.facts) + "</dl>"
    sections = list(enumerate(report.sections, start=1))
    yield "<nav>" + "".join(f'<a href="#s{n}">{n}. {escape(section.title)}</a>' for n, section in sections) + "</nav>"
    for number, section in sections:
        yield f'<section id="s{number}">\n<h2>{number}. {escape(section.title)} <small>{section.rule}</small></h2>'
        yield from (f"<p>{escape(sentence)}</p>" for sentence in section.sentences)
        for drawing in section.drawings:
            yield svg(drawing)
            if drawing.attribution:
                yield f'<p class="source">{escape(drawing.attribution)}</p>'
        for table in section.tables:
            yield from _table(table)
        yield "</section>"
    yield "</body>\n</html>"


def _table(table: Table) -> Iterator[str]:
    yield f"<h3>{escape(table.title)}</h3>"
    if table.rows:
        heads = "".join(f"<th{_class(column)}>{escape(column.title)}</th>" for column in table.columns)
        yield f'<div class="wide"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>'
        for row in table.rows:
            cells = "".join(_cell(value, column) for value, column in zip(row, table.columns, strict=True))
            mark = ' class="total"' if row[0] == "total" else ""
            yield f"<tr{mark}>{cells}</tr>"
        yield "</tbody></table></div>"
    if table.note:
        yield f'<p class="note">{escape(table.note)}</p>'
    if table.attribution:
        yield f'<p class="source">{escape(table.attribution)}</p>'


def _cell(value: Cell, column: Column) -> str:
    text = text_of(value, column.unit)
    if column.unit is Unit.TEXT and text.startswith("0x") and len(text) > _SHORTENED:
        return f'<td class="id">{escape(text)}</td>'
    return f"<td{_class(column)}>{escape(text)}</td>"


def _class(column: Column) -> str:
    return "" if column.unit is Unit.TEXT else ' class="n"'
