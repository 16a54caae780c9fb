"""Whether the server answers, and whether it can do its work."""

from typing import Final

from fastapi import APIRouter, Request, Response

from ledger.api.answering import JSON, shown_standing
from ledger.api.desk import Desk, quickly
from ledger.db.guards import check_guards
from ledger.steps.answers.standing import standing

router: Final = APIRouter(tags=["health"])


@router.get("/healthz", response_class=Response, response_model=None)
async def live() -> Response:
    """The process answers."""
    return Response(b'{"live":true}', media_type=JSON)


@router.get("/readyz", response_class=Response, response_model=None)
async def ready(request: Request) -> Response:
    """The database opens and its guards are this version's."""

    def ask(desk: Desk) -> Response:
        import json

        with desk.ledger.database.reading() as session:
            check_guards(session.connection())
        document = {"ready": True, "standing": shown_standing(standing(desk.ledger))}
        return Response(json.dumps(document).encode(), media_type=JSON)

    return await quickly(request, ask)
