"""Evidence: batches and the verdicts on them, registrations, what was refused at the door; verifiers and nodes."""

from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ledger.api.answering import Found, Shape, fact, listing
from ledger.api.desk import Desk
from ledger.api.paging import Page, Paged, page_of, slice_page
from ledger.api.parameters import EpochFilter, OperatorFilter, UidPath, VerifierFilter, VerifierPath
from ledger.api.routing import fact_route, list_route
from ledger.api.words import AddressShown, Count, HashShown
from ledger.steps.answers import evidence_pages, verifiers
from ledger.steps.answers.batch_standing import batch_status
from ledger.steps.recorded.announced import announced_roles

router: Final = APIRouter(tags=["evidence"])


class SchemaName(StrEnum):
    """The four kinds of records."""

    UPTIME = "uptime"
    ENERGY = "energy"
    RENEWABLE = "renewable"
    GRID = "grid"


class BatchRow(Shape):
    """One admitted batch."""

    arrival: Count = Field(description="order of arrival at this ledger; decides nothing")
    uid: HashShown
    schema_: str = Field(alias="schema")
    epoch: int | None
    verifier: AddressShown
    sequence: int | None
    received: str


class RefusedRecord(Shape):
    """One record that does not count, or is noted."""

    record: int
    code: str
    detail: str


class Batch(Shape):
    """What became of a batch. A batch refused at the door has the members up to `received` and the code."""

    uid: HashShown
    standing: str = Field(description="admitted, or refused at the door")
    epoch: int | None
    received: str
    epoch_state: str | None = None
    schema_: str | None = Field(default=None, alias="schema")
    verifier: AddressShown | None = None
    sequence: int | None = None
    revocations: list[str] | None = None
    verdict: str | None = Field(default=None, description="accepted, refused, or when it comes")
    code: str | None = None
    detail: str | None = None
    remedy: str | None = None
    records_refused: dict[str, int] | None = None
    refused: list[RefusedRecord] | None = None


class RegistrationRow(Shape):
    """One registration as its operator signed it."""

    arrival: Count
    uid: HashShown
    node_id: HashShown
    operator: AddressShown
    model: str
    zone: str
    country: str
    gpus: Count
    nameplate_w: int
    valid_from: str
    valid_to: str
    sequence: int
    received: str


class DoorRefusalRow(Shape):
    """One submission that was refused at the door."""

    number: Count
    uid: HashShown | None
    kind: str
    signer: AddressShown | None
    epoch: int | None
    code: str
    detail: str
    remedy: str
    received: str


class RoleRow(Shape):
    """One verifier's role for one schema, as it was set."""

    order: Count
    schema_: str = Field(alias="schema")
    verifier: AddressShown
    affiliation: str
    from_epoch: int
    until_epoch: int | None
    registries: str


class SentBatches(Shape):
    """How many batches of a schema were admitted into an epoch."""

    epoch: Count
    schema_: str = Field(alias="schema")
    batches: Count


class Verifier(Shape):
    """One verifier: its roles, what it sent."""

    verifier: AddressShown
    roles: list[RoleRow]
    batches: list[SentBatches]


class NextPlace(Shape):
    """Where the verifier's next batch of a schema goes."""

    epoch: Count
    schema_: str = Field(alias="schema")
    sequence: Count
    previous_batch: HashShown


SchemaFilter = Annotated[SchemaName | None, Query(description="only of this schema")]


async def list_batches(
    request: Request,
    paging: Paged,
    epoch: EpochFilter = None,
    verifier: VerifierFilter = None,
    schema: SchemaFilter = None,
) -> Response:
    """Admitted batches, by arrival."""

    def ask(desk: Desk) -> Page:
        rows = evidence_pages.batch_page(
            desk.ledger,
            after=_number(paging),
            limit=paging.limit + 1,
            epoch=epoch,
            verifier=verifier,
            schema=None if schema is None else schema.value,
        )
        return page_of(rows, lambda row: (row["arrival"],), paging.limit)

    return await listing(request, paging, BatchRow, ask)


async def show_batch(request: Request, uid: UidPath) -> Response:
    """Where a batch is, and once its epoch is computed the verdict on it and its records."""
    return await fact(request, lambda desk: Found(batch_status(desk.ledger, uid)))


async def list_registrations(request: Request, paging: Paged, operator: OperatorFilter = None) -> Response:
    """Registrations that came in, by arrival."""

    def ask(desk: Desk) -> Page:
        rows = evidence_pages.registration_page(
            desk.ledger, after=_number(paging), limit=paging.limit + 1, operator=operator
        )
        return page_of(rows, lambda row: (row["arrival"],), paging.limit)

    return await listing(request, paging, RegistrationRow, ask)


async def list_refusals(
    request: Request,
    paging: Paged,
    epoch: EpochFilter = None,
    signer: VerifierFilter = None,
    code: Annotated[str | None, Query(pattern=r"^[a-z-]{1,30}\.[a-z-]{1,30}$", description="only this code")] = None,
) -> Response:
    """What was refused at the door, oldest first."""

    def ask(desk: Desk) -> Page:
        rows = evidence_pages.refusal_page(
            desk.ledger, after=_number(paging), limit=paging.limit + 1, epoch=epoch, signer=signer, code=code
        )
        return page_of(rows, lambda row: (row["number"],), paging.limit)

    return await listing(request, paging, DoorRefusalRow, ask)


async def list_verifiers(
    request: Request,
    paging: Paged,
    epoch: Annotated[EpochFilter, Query(description="only the roles that hold in this epoch")] = None,
) -> Response:
    """Verifier roles in the order they were set, up to the last final block."""

    def ask(desk: Desk) -> Page:
        rows = verifiers.role_rows(announced_roles(desk.ledger, desk.deployment), epoch)
        return slice_page(rows, lambda row: (row["order"],), paging.after(int), paging.limit)

    return await listing(request, paging, RoleRow, ask)


async def show_verifier(request: Request, verifier: VerifierPath) -> Response:
    """One verifier: its roles and how many batches it sent, by epoch and schema."""
    return await fact(request, lambda desk: Found(verifiers.verifier_fact(desk.ledger, desk.deployment, verifier)))


async def list_verifier_batches(
    request: Request, paging: Paged, verifier: VerifierPath, epoch: EpochFilter = None, schema: SchemaFilter = None
) -> Response:
    """One verifier's admitted batches, by arrival."""
    return await list_batches(request, paging, epoch, verifier, schema)


async def list_next_places(
    request: Request,
    paging: Paged,
    verifier: VerifierPath,
    epoch: Annotated[EpochFilter, Query(description="default: every epoch that is open for evidence")] = None,
) -> Response:
    """The next sequence number and previous uid for each schema the verifier may attest, by epoch."""

    def ask(desk: Desk) -> Page:
        rows = verifiers.next_places(desk.ledger, desk.deployment, verifier, epoch)
        ordered = sorted(rows, key=lambda row: (row["epoch"], row["schema"]))
        return slice_page(ordered, lambda row: (row["epoch"], row["schema"]), paging.after(int, str), paging.limit)

    return await listing(request, paging, NextPlace, ask)


def _number(paging: Paged) -> int:
    key = paging.after(int)
    return 0 if key is None else int(key[0])


list_route(router, "/batches", list_batches, BatchRow)
fact_route(router, "/batches/{uid}", show_batch, Batch)
list_route(router, "/registrations", list_registrations, RegistrationRow)
list_route(router, "/refusals", list_refusals, DoorRefusalRow)
list_route(router, "/verifiers", list_verifiers, RoleRow)
fact_route(router, "/verifiers/{verifier}", show_verifier, Verifier)
list_route(router, "/verifiers/{verifier}/batches", list_verifier_batches, BatchRow)
list_route(router, "/verifiers/{verifier}/next", list_next_places, NextPlace, None, 404)
