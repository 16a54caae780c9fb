"""From what a question found to its response: `standing` and `data` in one JSON object, or a CSV page.

The answer's bytes are made once, in the thread that found it; nothing is validated or copied again on the way out.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ledger.api.caching import cached
from ledger.api.desk import Desk, asking_chain, quickly
from ledger.api.paging import Page, Paging, links
from ledger.model.plain import plain
from ledger.model.tabular import CSV, as_csv
from ledger.steps.answers.standing import LedgerStanding, standing
from ledger.steps.ledger import Ledger

JSON: Final = "application/json"
_Data = TypeVar("_Data", bound=BaseModel)


class Shape(BaseModel):
    """An answer's shape: exactly these members, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StandingShape(Shape):
    """Which state of the ledger the answer speaks of."""

    epoch: int | None = Field(description="the last sealed epoch")
    seq: int = Field(description="the last journal entry")
    block: int | None = Field(description="the last final block")
    head: str = Field(description="the head of the seal chain; empty before the first seal")


class Fact(Shape, Generic[_Data]):
    """One thing."""

    standing: StandingShape | None
    data: _Data


class Listing(Shape, Generic[_Data]):
    """One page of a list."""

    standing: StandingShape | None
    data: list[_Data]
    next: str | None = Field(description="the cursor of the next page; null on the last one")


@dataclass(frozen=True, slots=True)
class Found:
    """What a question found. `final_at`: the standing since which it is, and will for ever be, true."""

    data: Any
    final_at: LedgerStanding | None = None


Way = Callable[[Request, Callable[[Desk], Response]], Awaitable[Response]]
"""Which lane answers: `quickly`, `slowly` or `asking_chain`."""


async def fact(request: Request, ask: Callable[[Desk], Found], *, way: Way = quickly) -> Response:
    """Answer with one thing, and its standing in the same snapshot."""

    def work(desk: Desk) -> Response:
        with desk.snapshot(way is not asking_chain):
            found = ask(desk)
            document = {"standing": _standing(desk.ledger, found), "data": plain(found.data)}
        return cached(request, as_bytes(document), JSON, {}, is_final=found.final_at is not None)

    return await way(request, work)


async def listing(
    request: Request,
    paging: Paging,
    shape: type[Shape],
    ask: Callable[[Desk], tuple[Page, LedgerStanding | None] | Page],
    *,
    way: Way = quickly,
) -> Response:
    """Answer with a page, as JSON or, where the path ends in `.csv`, as CSV with the shape's members as columns."""
    is_csv = request.url.path.endswith(".csv")

    def work(desk: Desk) -> Response:
        with desk.snapshot(way is not asking_chain):
            told = ask(desk)
            page, final_at = told if isinstance(told, tuple) else (told, None)
            shown = _standing(desk.ledger, Found(None, final_at)) if not is_csv else {}
        cursor = paging.next_cursor(page)
        headers = {"Link": links(request, cursor)}
        if is_csv:
            columns = [field.alias or name for name, field in shape.model_fields.items()]
            content = as_csv(page.rows, columns).encode("utf-8")
            return cached(request, content, CSV, headers, is_final=final_at is not None)
        document = {"standing": shown, "data": [plain(row) for row in page.rows], "next": cursor}
        return cached(request, as_bytes(document), JSON, headers, is_final=final_at is not None)

    return await way(request, work)


def shown_standing(found: LedgerStanding) -> dict[str, Any]:
    """A standing as JSON."""
    return {"epoch": found.epoch, "seq": found.seq, "block": found.block, "head": found.head}


def _standing(ledger: Ledger, found: Found) -> dict[str, Any]:
    """Now; or, for what never changes again, the moment its epoch became final: the same bytes for ever."""
    return shown_standing(found.final_at or standing(ledger))


def as_bytes(document: dict[str, Any]) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
