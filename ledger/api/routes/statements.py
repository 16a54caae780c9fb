"""One epoch's result: statements node by node, allocations operator by operator, explanations and proofs."""

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from ledger.api.answering import Found, Shape, fact, listing
from ledger.api.desk import Desk, deriving, explaining, slowly
from ledger.api.paging import Page, Paged, page_of
from ledger.api.parameters import AddressText, EpochPath, NodePath, OperatorFilter, OperatorPath, WordFilter
from ledger.api.problems import CursorInvalidError
from ledger.api.routing import fact_route, list_route
from ledger.api.shapes.explanation import Explanation
from ledger.api.shapes.statement import Statement
from ledger.api.words import AddressShown, Count, HashShown, WeiText
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, NodeId
from ledger.steps.answers import statement_pages
from ledger.steps.answers.ahead import NotDerivedError, derive_ahead
from ledger.steps.answers.explain import explain
from ledger.steps.answers.explanation_document import explanation_document
from ledger.steps.answers.final_standing import finality_of
from ledger.steps.answers.proof_document import proof_document
from ledger.steps.answers.standing import LedgerStanding
from ledger.tree.keccak import parse_address

router: Final = APIRouter(tags=["results"])


class Allocation(Shape):
    """What one operator earned in the epoch, and its cumulative amount in the epoch's tree."""

    operator: AddressShown
    nodes: Count
    payout_wei: WeiText
    base_wei: WeiText
    efficiency_wei: WeiText
    green_wei: WeiText
    amount_wei: WeiText | None = Field(description="cumulative, as the claim tree has it; null before it is sealed")
    state: EpochState


class Proof(Shape):
    """An operator's leaf in a claim tree, as the contract and any claimer of a Merkle distributor take it."""

    account: AddressShown
    amount: WeiText = Field(description="cumulative wei")
    proof: list[HashShown]
    root: HashShown
    epoch: Count
    state: EpochState
    contract: AddressShown
    chain_id: int


async def list_allocations(request: Request, paging: Paged, epoch: EpochPath) -> Response:
    """What each operator earned in a computed epoch, by address."""

    def ask(desk: Desk) -> tuple[Page, LedgerStanding | None]:
        key = paging.after(bytes)
        after = None if key is None else Address(bytes(key[0]))  # type: ignore[arg-type]
        rows = statement_pages.allocation_page(desk.ledger, epoch, after=after, limit=paging.limit + 1)
        page = page_of(rows, lambda row: (parse_address(row["operator"]),), paging.limit)
        return page, _settled(desk, epoch)

    return await listing(request, paging, Allocation, ask, way=slowly)


async def list_statements(
    request: Request,
    paging: Paged,
    epoch: EpochPath,
    operator: OperatorFilter = None,
    model: Annotated[WordFilter, Query(description="only of this hardware model")] = None,
    zone: Annotated[WordFilter, Query(description="only in this grid zone")] = None,
    country: Annotated[WordFilter, Query(description="only in this country")] = None,
) -> Response:
    """The statements of a computed epoch's nodes, by node id."""
    given = {"model": model, "zone": zone, "country": country}

    def ask(desk: Desk) -> tuple[Page, LedgerStanding | None]:
        key = paging.after(int, bytes)
        found = statement_pages.statement_page(
            desk.ledger,
            epoch,
            after=None if key is None else NodeId(bytes(key[1])),  # type: ignore[arg-type]
            limit=paging.limit + 1,
            operator=operator,
            equal={name: value for name, value in given.items() if value is not None},
        )
        if key is not None and key[0] != found.attempt:
            raise CursorInvalidError(f"epoch {epoch} was computed again: this page belongs to another attempt")
        page = page_of(found.rows, lambda row: (found.attempt, row["node_id"]), paging.limit)
        return page, finality_of(desk.ledger, epoch).standing

    return await listing(request, paging, Statement, ask, way=slowly)


async def show_statement(request: Request, epoch: EpochPath, node: NodePath) -> Response:
    """One node's statement: every count, factor and line."""

    def ask(desk: Desk) -> Found:
        return Found(statement_pages.statement_of(desk.ledger, epoch, node), finality_of(desk.ledger, epoch).standing)

    return await fact(request, ask)


async def show_explanation(
    request: Request,
    epoch: EpochPath,
    node: Annotated[
        str, Path(pattern=r"^0x[0-9a-fA-F]{1,64}$", description="the node's id, or enough of its digits to name one")
    ],
    operator: Annotated[AddressText | None, Query(description="look among this operator's nodes")] = None,
) -> Response:
    """Why a node was paid what it was paid: evidence, factors, lines, refusals, what missed thresholds cost."""

    def ask(desk: Desk, *, only_at_once: bool) -> Found:
        found = explain(desk.ledger, epoch, node, operator, only_at_once=only_at_once)
        return Found(explanation_document(found), finality_of(desk.ledger, epoch).standing)

    try:
        return await fact(request, partial(ask, only_at_once=True), way=explaining)
    except NotDerivedError:
        await deriving(request, lambda desk: derive_ahead(desk.ledger, epoch))
        return await fact(request, partial(ask, only_at_once=False), way=explaining)


async def show_proof(request: Request, epoch: EpochPath, operator: OperatorPath) -> Response:
    """An operator's cumulative amount and Merkle proof in a sealed epoch's claim tree."""

    def ask(desk: Desk) -> Found:
        data = proof_document(desk.ledger, operator, epoch)
        return Found(data, _settled(desk, epoch))

    return await fact(request, ask)


async def show_latest_proof(request: Request, operator: OperatorPath) -> Response:
    """An operator's amount and proof in the last final epoch's claim tree: what a claim needs."""
    return await fact(request, lambda desk: Found(proof_document(desk.ledger, operator, None)))


def _settled(desk: Desk, epoch: EpochNumber) -> LedgerStanding | None:
    """For what stands on the claim tree: it changes with a correction as long as no later epoch is final."""
    finality = finality_of(desk.ledger, epoch)
    return finality.standing if finality.is_followed else None


list_route(router, "/epochs/{epoch}/allocations", list_allocations, Allocation, None, 404)
list_route(router, "/epochs/{epoch}/statements", list_statements, Statement, None, 404)
fact_route(router, "/epochs/{epoch}/statements/{node}", show_statement, Statement)
fact_route(router, "/epochs/{epoch}/explanations/{node}", show_explanation, Explanation)
fact_route(router, "/epochs/{epoch}/proofs/{operator}", show_proof, Proof)
fact_route(router, "/operators/{operator}/proof", show_latest_proof, Proof)
