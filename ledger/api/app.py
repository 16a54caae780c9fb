"""The application: every route under /v1, its errors, its limits, opened on one workspace."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi

from ledger import __version__
from ledger.api import problems
from ledger.api.desk import Desk
from ledger.api.edge import App, Edge
from ledger.api.examples import add_examples
from ledger.api.intake import Intake
from ledger.api.limits.body import BodyReader
from ledger.api.limits.connections import PatientProtocol
from ledger.api.limits.rate import Allowance, buckets
from ledger.api.routes import (
    books,
    chain,
    epochs,
    evidence,
    governance,
    health,
    nodes,
    operators,
    reports,
    statements,
    submissions,
)
from ledger.api.strict import only_known_parameters
from ledger.api.warming import Warmer
from ledger.telemetry.logs import start_logging
from ledger.telemetry.metrics import observe_request
from ledger.workspace import Workspace

WORKSPACE_VARIABLE: Final = "ATH_LEDGER_SERVED_WORKSPACE"
"""How `ath-ledger serve` tells its worker processes which workspace is theirs."""
_MIB: Final = 2**20
_BODIES_MIB: Final = 256
"""What one process holds of bodies that are being read."""
_ROUTERS: Final = (
    epochs.router,
    statements.router,
    operators.router,
    nodes.router,
    evidence.router,
    governance.router,
    books.router,
    chain.router,
    reports.router,
    submissions.router,
)
_DESCRIPTION: Final = """Exact, provable rewards for a decentralised GPU cloud.

Amounts are decimal strings of wei. Every answer says with `standing` which state of the ledger it speaks of. Lists are
paged by opaque cursors (RFC 8288 `Link`), and each has a CSV twin. Errors are RFC 9457 problems with a stable `code`.
What a final epoch will never change again may be cached for ever."""


def make_app(place: Workspace) -> FastAPI:
    """The application over a workspace, which is opened when the server starts."""

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        desk = app.state.desk = Desk.open(place)
        intake = app.state.intake = Intake(desk)
        limit = place.settings.http_body_limit_mib * _MIB
        app.state.bodies = BodyReader(limit=limit, budget=max(limit, _BODIES_MIB * _MIB))
        intake.begin()
        warmer = Warmer(desk.ledger)
        warmer.start()
        try:
            yield
        finally:
            warmer.stop()
            intake.close()
            desk.close()

    app = FastAPI(
        title="ATH Ledger",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=opened,
        docs_url=None,  # its page is loaded from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(only_known_parameters)],
    )
    v1 = APIRouter(prefix="/v1")
    for router in _ROUTERS:
        v1.include_router(router)
    app.include_router(v1)
    app.include_router(health.router)
    problems.add_to(app)
    _describe(app)
    return app


def served(place: Workspace) -> App:
    """The application behind its limits, as a server runs it."""
    settings = place.settings
    allowance = Allowance(settings.http_requests_per_second, settings.http_requests_burst)
    counted = buckets(settings.celery_broker_url, allowance) if allowance.per_second else None
    return Edge(make_app(place), buckets=counted, told=observe_request)


def from_environment() -> App:
    """What a worker process serves."""
    place = Workspace.at(Path(os.environ[WORKSPACE_VARIABLE]))
    proxies = (each.strip() for each in place.settings.http_trusted_proxies.split(","))
    start_logging(place.settings, program="serve", folder=place.root / "logs")
    PatientProtocol.trusted = frozenset(each for each in proxies if each)
    return served(place)


def _describe(app: FastAPI) -> None:
    """The OpenAPI document: FastAPI's, with our problems instead of its validation errors."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = made["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas[problems.Problem.__name__] = problems.Problem.model_json_schema()
            _leave_out_null(made)
            add_examples(made)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _leave_out_null(document: dict[str, Any]) -> None:
    """A parameter that may be left out is left out: no text in a URL means null."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                kinds = [kind for kind in parameter["schema"].get("anyOf", []) if kind != {"type": "null"}]
                if len(kinds) == 1:
                    rest = {name: value for name, value in parameter["schema"].items() if name != "anyOf"}
                    parameter["schema"] = {**kinds[0], **rest}
