"""Whether the server answers, whether it can do its work, and what it counts. No limit applies here."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ledger.api.answering import JSON, Shape, as_bytes
from ledger.api.desk import Desk, in_passing
from ledger.api.routing import answer_route, refusal
from ledger.steps.checkup.doctor import Health
from ledger.steps.checkup.figures import render
from ledger.steps.checkup.health import live
from ledger.telemetry.metrics import CONTENT_TYPE

router: Final = APIRouter(tags=["health"])
_FRESH: Final = {"Cache-Control": "no-store"}


class Alive(Shape):
    """The process that answers."""

    live: bool
    version: str
    pid: int
    up_seconds: int


class CheckFound(Shape):
    """One part that was looked at."""

    check: str
    health: Health
    code: str
    found: str
    next: str = Field(description="what to do")


class Readiness(Shape):
    """Whether questions can be answered rightly now; degraded: somebody should know something all the same."""

    ready: bool
    degraded: bool
    checks: list[CheckFound]


async def show_live(_request: Request) -> Response:
    """The process answers; nobody else is asked."""
    return Response(as_bytes(live()), headers=_FRESH, media_type=JSON)


async def show_ready(request: Request) -> Response:
    """Whether the ledger can do its work: database with its guards, chain, disk. 503 when it cannot."""

    def look(desk: Desk) -> Response:
        report = desk.readiness.look()
        status = HTTPStatus.OK if report.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(as_bytes(dict(report.document())), status, _FRESH, JSON)

    return await in_passing(request, look)


async def show_metrics(request: Request) -> Response:
    """Prometheus metrics of this ledger and of the processes that serve it."""

    def look(desk: Desk) -> Response:
        return Response(render(desk.figures), headers={**_FRESH, "Content-Type": CONTENT_TYPE})

    return await in_passing(request, look)


def _route(path: str, endpoint: Any, told: dict[str, Any], *more: dict[int | str, dict[str, Any]]) -> None:
    others: dict[int | str, dict[str, Any]] = {
        422: refusal("There is no such parameter."),
        500: refusal("Something failed that should not have."),
    }
    for each in more:
        others |= each
    answer_route(router, path, endpoint, told, others)


_route("/healthz", show_live, {"model": Alive})
_route("/readyz", show_ready, {"model": Readiness}, {503: {"description": "It cannot.", "model": Readiness}})
_route("/metrics", show_metrics, {"content": {"text/plain": {"schema": {"type": "string"}}}})
