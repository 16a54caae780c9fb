"""Carbon and rewards reports (R7) over epochs, as JSON, as Markdown, and table by table as CSV."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from ledger.api.answering import JSON, Shape
from ledger.api.caching import cached
from ledger.api.desk import Desk, slowly
from ledger.api.parameters import EpochWhole, require_order
from ledger.api.problems import HttpError
from ledger.api.routing import UNCHANGED, Endpoint, answer_route, refusals
from ledger.audit.reporting.composing import compose
from ledger.audit.reporting.document import Report
from ledger.audit.reporting.machine import as_csv, as_json
from ledger.audit.reporting.markdown import markdown
from ledger.model.errors import NotFoundError
from ledger.model.tabular import CSV
from ledger.model.units import EpochNumber
from ledger.steps.reporting.gathering import gather

router: Final = APIRouter(tags=["reports"])
MOST_EPOCHS: Final = 31
MARKDOWN: Final = "text/markdown"


class ReportTooLongError(HttpError):
    """A report over more epochs than this server composes at once."""

    code = "report.too-long"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    default_hint = f"ask for at most {MOST_EPOCHS} epochs; ath-ledger audit report has no such limit"


class TableUnknownError(NotFoundError):
    """The report has no table of this name."""

    code = "report.no-such-table"
    default_hint = "the report as JSON names its tables"


class Column(Shape):
    """One column of a table."""

    name: str
    heading: str
    unit: str


class Ratio(Shape):
    """An exact ratio, and how a person reads it."""

    numerator: str
    denominator: str
    text: str


class Table(Shape):
    """One table; quantities are decimal strings in the unit of their column."""

    name: str
    title: str
    columns: list[Column]
    rows: list[dict[str, str | int | Ratio | None]]
    note: str
    attribution: str = Field(description="whose grid data is in it (R7.11)")


class Section(Shape):
    """One section, by the number of its rule."""

    rule: str
    title: str
    sentences: list[str]
    tables: list[Table]


class CarbonReport(Shape):
    """Energy, carbon both ways, certificates, coverage, retirements, intensity, rewards and controls."""

    format: str
    title: str
    period: str
    headline: list[str]
    facts: dict[str, str]
    sections: list[Section]


FirstEpoch = Annotated[EpochWhole, Query(alias="from", description="the first epoch")]
LastEpoch = Annotated[EpochWhole, Query(alias="to", description="the last epoch")]


async def show_report(request: Request, first: FirstEpoch, last: LastEpoch) -> Response:
    """The report over consecutive sealed epochs, as JSON."""
    return await _answer(request, first, last, JSON, as_json)


async def show_report_markdown(request: Request, first: FirstEpoch, last: LastEpoch) -> Response:
    """The report over consecutive sealed epochs, as Markdown."""
    return await _answer(request, first, last, MARKDOWN, lambda made: markdown(made).encode("utf-8"))


async def show_report_table(
    request: Request,
    table: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,60}$", description="the table's name")],
    first: FirstEpoch,
    last: LastEpoch,
) -> Response:
    """One table of the report, as CSV."""

    def chosen(made: Report) -> bytes:
        tables = as_csv(made)
        if table not in tables:
            raise TableUnknownError(f"the report has no table {table!r}; it has: {', '.join(sorted(tables))}")
        return tables[table].encode("utf-8")

    return await _answer(request, first, last, CSV, chosen)


async def _answer(
    request: Request, first: EpochNumber, last: EpochNumber, kind: str, form: Callable[[Report], bytes]
) -> Response:
    require_order(first, last, "from … to")
    if last - first >= MOST_EPOCHS:
        raise ReportTooLongError(f"{last - first + 1} epochs are more than {MOST_EPOCHS}")

    def work(desk: Desk) -> Response:
        made = compose(gather(desk.ledger, first, last), is_rehearsal=desk.place.is_own_chain)
        # late revocations and retirements of a period still come in for a while: only its validator is given
        return cached(request, form(made), kind, {}, is_final=False)

    return await slowly(request, work)


def _route(path: str, endpoint: Endpoint, told: dict[str, Any]) -> None:
    answer_route(router, path, endpoint, told, {**UNCHANGED, **refusals(404)})


_TEXT: Final = {"schema": {"type": "string"}}
_route("/reports", show_report, {"model": CarbonReport})
_route("/reports.md", show_report_markdown, {"content": {MARKDOWN: _TEXT}})
_route("/reports/{table}.csv", show_report_table, {"content": {CSV.partition(";")[0]: _TEXT}})
