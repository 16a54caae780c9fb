"""Epochs: where each stands, what it decided, what every transition recorded."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from ledger.api.answering import Found, Shape, fact, listing
from ledger.api.desk import Desk
from ledger.api.paging import Page, Paged, page_of, slice_page
from ledger.api.parameters import EpochPath
from ledger.api.routing import fact_route, list_route
from ledger.api.words import Count, WeiText
from ledger.model.epoch import EpochState
from ledger.steps.answers import overview

router: Final = APIRouter(tags=["epochs"])


class EpochRow(Shape):
    """One epoch. Totals are null until it is computed."""

    epoch: Count
    day: str = Field(description="the UTC day it begins on", examples=["2023-11-15"])
    state: EpochState
    attempt: int
    payout_wei: WeiText | None
    carbon_wei: WeiText | None
    reserve_wei: WeiText | None
    rollover_wei: WeiText | None


class Transaction(Shape):
    """One effect on chain that the epoch planned."""

    key: str
    state: str
    nonce: int
    transaction: str | None
    block: int | None


class Epoch(EpochRow):
    """One epoch whole, but for its transitions."""

    starts: str
    ends: str
    cut_off: str = Field(description="the last second at which its evidence may arrive")
    reason: str = Field(description="why it is halted, if it is")
    transactions: list[Transaction]
    verdicts: dict[str, int] = Field(description="how often each verdict was given, by scope and code")
    refused_at_the_door: dict[str, int]
    files: list[str]


class Transition(Shape):
    """One transition, with the facts it was decided on; their members depend on the state entered."""

    number: int
    state: EpochState
    attempt: int
    at: str
    reason: str
    facts: dict[str, Any]


_ROW: Final = {
    "epoch": 0, "day": "2023-11-15", "state": "final", "attempt": 1, "payout_wei": "88800000000000000000000",
    "carbon_wei": "100000000000000000000", "reserve_wei": "10000000000000000000000",
    "rollover_wei": "1100000000000000000000",
}  # fmt: skip


async def list_epochs(
    request: Request,
    paging: Paged,
    state: Annotated[EpochState | None, Query(description="only epochs in this state")] = None,
) -> Response:
    """Every epoch with its state and totals, ascending."""

    def ask(desk: Desk) -> Page:
        after = paging.after(int)
        rows = overview.epoch_page(desk.ledger, None if after is None else int(after[0]), paging.limit + 1, state)
        return page_of(rows, lambda row: (row["epoch"],), paging.limit)

    return await listing(request, paging, EpochRow, ask)


async def show_epoch(request: Request, epoch: EpochPath) -> Response:
    """One epoch: window, totals, transactions, verdicts by code, files."""
    return await fact(request, lambda desk: Found(overview.epoch_summary(desk.ledger, epoch)))


async def list_transitions(request: Request, paging: Paged, epoch: EpochPath) -> Response:
    """What every transition of an epoch recorded, in order."""

    def ask(desk: Desk) -> Page:
        rows = overview.transition_rows(desk.ledger, epoch)
        return slice_page(rows, lambda row: (row["number"],), paging.after(int), paging.limit)

    return await listing(request, paging, Transition, ask)


list_route(router, "/epochs", list_epochs, EpochRow, _ROW)
fact_route(router, "/epochs/{epoch}", show_epoch, Epoch)
list_route(router, "/epochs/{epoch}/transitions", list_transitions, Transition, None, 404)
