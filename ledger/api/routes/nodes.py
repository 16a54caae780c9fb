"""Nodes: those an epoch counted with what it paid for them, and one node with its registrations."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from ledger.api.answering import Found, Shape, fact, listing
from ledger.api.desk import Desk, slowly
from ledger.api.paging import Page, Paged, page_of
from ledger.api.parameters import EpochFilter, NodePath, OperatorFilter
from ledger.api.problems import CursorInvalidError
from ledger.api.routing import fact_route, list_route
from ledger.api.words import AddressShown, Count, HashShown, WeiText
from ledger.model.units import EpochNumber, NodeId
from ledger.steps.answers.explain import last_computed
from ledger.steps.answers.final_standing import finality_of
from ledger.steps.answers.nodes import node_fact
from ledger.steps.answers.standing import LedgerStanding
from ledger.steps.answers.statement_pages import statement_page

router: Final = APIRouter(tags=["nodes"])


class NodeRow(Shape):
    """One node that an epoch counted."""

    node_id: HashShown
    operator: AddressShown
    model: str
    zone: str
    country: str
    gpus: Count
    payout_wei: WeiText


class NodeRegistrationRow(Shape):
    """One registration of a node."""

    uid: HashShown
    sequence: int
    valid_from: str
    valid_to: str


class NodePayout(Shape):
    """What one epoch paid for a node."""

    epoch: Count
    payout_wei: WeiText


class Node(Shape):
    """One node as its last registration has it, with all of them and what the last epochs paid."""

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
    serial: HashShown
    gpu_ids: list[HashShown]
    registrations: list[NodeRegistrationRow]
    payouts: list[NodePayout]


async def list_nodes(
    request: Request,
    paging: Paged,
    epoch: Annotated[EpochFilter, Query(description="those this epoch counted; default: the last computed one")] = None,
    operator: OperatorFilter = None,
) -> Response:
    """The nodes a computed epoch counted, by id, with what it paid for each."""

    def ask(desk: Desk) -> tuple[Page, LedgerStanding | None]:
        # the cursor names the epoch, so that a page never continues another epoch's list
        key = paging.after(int, int, bytes)
        number = epoch if epoch is not None else EpochNumber(int(key[0])) if key else last_computed(desk.ledger)
        after = NodeId(bytes(key[2])) if key else None  # type: ignore[arg-type]
        found = statement_page(desk.ledger, number, after=after, limit=paging.limit + 1, operator=operator)
        if key is not None and (int(key[0]), int(key[1])) != (number, found.attempt):
            raise CursorInvalidError(f"epoch {number} was computed again: this page belongs to another attempt")
        rows = [
            {
                **{name: row[name] for name in ("node_id", "operator", "model", "zone", "country")},
                "gpus": row["gpu_count"],
                "payout_wei": row["pay_wei"],
            }
            for row in found.rows
        ]
        page = page_of(rows, lambda row: (number, found.attempt, row["node_id"]), paging.limit)
        return page, finality_of(desk.ledger, number).standing if epoch is not None else None

    return await listing(request, paging, NodeRow, ask, way=slowly)


async def show_node(request: Request, node: NodePath) -> Response:
    """One node: its registrations, what the last epochs paid for it."""
    return await fact(request, lambda desk: Found(node_fact(desk.ledger, node)), way=slowly)


list_route(router, "/nodes", list_nodes, NodeRow, None, 404)
fact_route(router, "/nodes/{node}", show_node, Node)
