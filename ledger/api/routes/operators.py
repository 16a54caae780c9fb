"""Operators: what each earned, may claim and claimed, and whether a payout is late and why."""

from typing import Final

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ledger.api.answering import Found, Shape, fact, listing
from ledger.api.desk import Desk, slowly
from ledger.api.paging import Page, Paged, page_of, slice_page
from ledger.api.parameters import OperatorPath
from ledger.api.routing import fact_route, list_route
from ledger.api.words import AddressShown, Count, HashShown, WeiText
from ledger.model.epoch import EpochState
from ledger.model.units import Address
from ledger.steps.answers.operator_pages import operator_page
from ledger.steps.answers.payouts import operator_payouts
from ledger.steps.answers.rewards import history_rows, operator_fact
from ledger.steps.claim import booked_claims
from ledger.tree.keccak import checksum_address, parse_address

router: Final = APIRouter(tags=["operators"])


class OperatorRow(Shape):
    """One operator's rewards: pending (in no root yet), amount (cumulative, in a root), claimed, claimable."""

    operator: AddressShown
    pending_wei: WeiText
    amount_wei: WeiText
    claimed_wei: WeiText
    claimable_wei: WeiText


class Operator(OperatorRow):
    """One operator, with the proof of its amount in the last final epoch's tree."""

    root: HashShown | None
    proofs: list[HashShown]


class HistoryRow(Shape):
    """What an operator earned in one epoch."""

    epoch: Count
    days: str
    state: EpochState
    nodes: Count
    payout_wei: WeiText
    base_wei: WeiText
    efficiency_wei: WeiText
    green_wei: WeiText


class PayoutRow(Shape):
    """One epoch's payout to an operator: when it is due, whether it is late, what it waits for."""

    epoch: Count
    state: EpochState
    due: str = Field(description="cut-off, the contract's window and an hour for settling")
    standing: str = Field(description="claimable, on time or late")
    is_late: bool
    why: str
    payout_wei: WeiText | None = Field(description="null before the epoch is computed, and where it earned nothing")


class ClaimRow(Shape):
    """One withdrawal that is in the books."""

    amount_wei: WeiText
    cumulative_wei: WeiText
    payee: AddressShown
    block: Count
    transaction: HashShown


async def list_operators(request: Request, paging: Paged) -> Response:
    """Every operator's pending, cumulative, claimed and claimable rewards, by address."""

    def ask(desk: Desk) -> Page:
        key = paging.after(bytes)
        after = None if key is None else Address(bytes(key[0]))  # type: ignore[arg-type]
        rows = operator_page(desk.ledger, after=after, limit=paging.limit + 1)
        return page_of(rows, lambda row: (parse_address(row["operator"]),), paging.limit)

    return await listing(request, paging, OperatorRow, ask)


async def show_operator(request: Request, operator: OperatorPath) -> Response:
    """One operator's rewards, with the proof of its amount."""
    return await fact(request, lambda desk: Found(operator_fact(desk.ledger, operator)))


async def list_history(request: Request, paging: Paged, operator: OperatorPath) -> Response:
    """What an operator earned, epoch by epoch."""

    def ask(desk: Desk) -> Page:
        rows = history_rows(desk.ledger, operator)
        return slice_page(rows, lambda row: (row["epoch"],), paging.after(int), paging.limit)

    return await listing(request, paging, HistoryRow, ask, way=slowly)


async def list_payouts(request: Request, paging: Paged, operator: OperatorPath) -> Response:
    """Where the operator's payouts are, from the last final epoch on: due when, late or not, and why."""

    def ask(desk: Desk) -> Page:
        rows = operator_payouts(desk.ledger, operator, desk.deployment.window)
        return slice_page(rows, lambda row: (row["epoch"],), paging.after(int), paging.limit)

    return await listing(request, paging, PayoutRow, ask, way=slowly)


async def list_claims(request: Request, paging: Paged, operator: OperatorPath) -> Response:
    """The operator's withdrawals in the books, oldest first."""

    def ask(desk: Desk) -> Page:
        claims = booked_claims(desk.ledger, operator)
        rows = [
            {
                "amount_wei": each.amount_wei,
                "cumulative_wei": each.cumulative_wei,
                "payee": checksum_address(each.payee),
                "block": each.block,
                "transaction": each.transaction,
            }
            for each in claims
        ]
        return slice_page(rows, lambda row: (row["block"], row["transaction"]), paging.after(int, bytes), paging.limit)

    return await listing(request, paging, ClaimRow, ask, way=slowly)


list_route(router, "/operators", list_operators, OperatorRow)
fact_route(router, "/operators/{operator}", show_operator, Operator)
list_route(router, "/operators/{operator}/history", list_history, HistoryRow, None, 404)
list_route(router, "/operators/{operator}/payouts", list_payouts, PayoutRow, None, 404)
list_route(router, "/operators/{operator}/claims", list_claims, ClaimRow, None, 404)
