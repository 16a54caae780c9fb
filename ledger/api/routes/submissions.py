"""The one thing that is written: signed evidence, handed in as the file's own bytes; its signature is its authority."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from ledger.api.answering import JSON, Fact, Found, Shape, as_bytes, fact, shown_standing
from ledger.api.desk import Desk, client_of, desk_of
from ledger.api.limits.body import MEDIA_TYPES, BodyReader
from ledger.api.parameters import HashText
from ledger.api.problems import problem
from ledger.api.routing import fact_route, refusal, refusals
from ledger.api.words import Count, HashShown
from ledger.model.plain import plain
from ledger.model.refusals import REFUSALS, ItemRefusedError
from ledger.steps.answers.standing import standing
from ledger.steps.intake.inbox import Submission, SubmissionState, submission
from ledger.steps.transitions.transition import utc

router: Final = APIRouter(tags=["submissions"])


class SubmissionFact(Shape):
    """Some content that was handed in, and what became of it. Until it is judged all below `state` is empty."""

    digest: HashShown = Field(description="SHA-256 of the content: its name here")
    size: Count
    received: str
    state: SubmissionState
    uid: HashShown | None = Field(description="the item's uid, where it could be read so far")
    kind: str
    epoch: int | None
    code: str = Field(description="the refusal's code; empty when admitted")
    detail: str
    remedy: str
    judged: str | None


async def submit(request: Request) -> Response:
    """Hand in a batch (Parquet or JSON), a registration or a revocation, as the file's own bytes.

    The EIP-712 signature inside is the authority; there is no password. The same bytes twice are one submission. The
    answer names where to ask for the verdict; what no verifier or operator can have signed is refused at once.
    """
    desk, reader = desk_of(request), request.app.state.bodies
    if not isinstance(reader, BodyReader):
        raise TypeError("the app was not opened")
    content = await reader.read(request)

    def work() -> Response:
        try:
            received = request.app.state.intake.take(content)
        except ItemRefusedError as error:
            return _refused(error)
        document = {"standing": shown_standing(standing(desk.ledger)), "data": plain(_shown(received))}
        location = f"/v1/submissions/0x{received.digest.hex()}"
        headers = {"Location": location, "Cache-Control": "no-store"}
        return Response(as_bytes(document), HTTPStatus.ACCEPTED, headers, JSON)

    return await desk.intake.do(client_of(request), work)


async def show_submission(
    request: Request, digest: Annotated[HashText, Path(description="SHA-256 of what was handed in")]
) -> Response:
    """Where a submission stands: received, admitted or refused, with the code and the remedy."""

    def ask(desk: Desk) -> Found:
        return Found(_shown(submission(desk.ledger, digest)))

    return await fact(request, ask)


def _shown(found: Submission) -> dict[str, Any]:
    return {
        "digest": found.digest,
        "size": found.size,
        "received": utc(found.received_at),
        "state": found.state.value,
        "uid": found.uid,
        "kind": found.kind,
        "epoch": found.epoch,
        "code": found.code,
        "detail": found.detail,
        "remedy": REFUSALS[found.code].remedy if found.code in REFUSALS else "",
        "judged": None if found.judged_at is None else utc(found.judged_at),
    }


def _refused(error: ItemRefusedError) -> Response:
    """What is not kept at all: no item, not signed by whom it names, or by nobody who may."""
    status = HTTPStatus.FORBIDDEN if error.code == "batch.role" else HTTPStatus.UNPROCESSABLE_ENTITY
    if error.code == "file.too-large":
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    meaning = REFUSALS[error.code].meaning if error.code in REFUSALS else "The content is not taken"
    return problem(status, error.code, meaning, error.what, error.hint)


_TAKEN: Final = {"description": "Kept. `Location` says where the verdict will be.", "model": Fact[SubmissionFact]}
router.add_api_route(
    "/submissions",
    submit,
    methods=["POST"],
    status_code=HTTPStatus.ACCEPTED,
    operation_id=submit.__name__,
    summary=(submit.__doc__ or "").partition("\n")[0],
    response_class=Response,
    response_model=None,
    responses={
        202: {**_TAKEN, "headers": {"Location": {"description": "where to poll", "schema": {"type": "string"}}}},
        403: refusal("The signer is no verifier of this ledger."),
        408: refusal("The body came in too slowly."),
        413: refusal("The body is larger than is taken here."),
        415: refusal("The body is encoded, or of a type that is not taken here."),
        **refusals(409),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES},
        }
    },
)
fact_route(router, "/submissions/{digest}", show_submission, SubmissionFact)
