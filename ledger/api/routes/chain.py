"""The chain as the books follow it, our transactions, what the contracts hold now, and the carbon vault."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ledger.api.answering import Found, Shape, fact, listing
from ledger.api.desk import Desk, asking_chain
from ledger.api.paging import Page, Paged, slice_page
from ledger.api.routing import fact_route, list_route
from ledger.api.words import AddressShown, Count, HashShown, IntegerText, WeiText
from ledger.steps.answers.chain_standing import chain_standing, transaction_rows
from ledger.steps.answers.chain_status import chain_status
from ledger.steps.answers.standing import standing
from ledger.steps.vault import vault_standing
from ledger.tree.keccak import parse_address

router: Final = APIRouter(tags=["chain"])


class ChainStanding(Shape):
    """How far the books have followed the chain."""

    chain_id: int
    genesis_hash: HashShown
    contracts: dict[str, AddressShown]
    finality_depth: Count
    ledger_genesis: str = Field(description="the start of epoch 0")
    epoch_seconds: Count
    window_seconds: Count = Field(description="how long a proposal may be revoked")
    final_block: int | None
    final_hash: HashShown | None
    final_at: str | None
    head_block: int | None = Field(description="the head from which the final block was seen")
    reorgs: Count
    reorgs_below_final: Count
    transactions: dict[str, int] = Field(description="how many of ours are in each state")


class TransactionRow(Shape):
    """One effect on chain: one key, one nonce, for ever."""

    sender: AddressShown
    nonce: Count
    key: str
    to: AddressShown
    state: str
    transaction: HashShown | None
    block: int | None
    detail: str


class ContractsNow(Shape):
    """What the contracts hold and wait for, at the chain's head."""

    final_block: int | None
    running_epoch: int | None
    genesis: Count
    next_epoch: Count
    pending_header: HashShown | None
    activates_at: int | None
    proposals_open: bool
    claims_paused: bool
    rollover_wei: WeiText
    claimable_balance_wei: WeiText
    vault_balance_wei: WeiText
    reserve_balance_wei: WeiText
    treasury_balance_wei: WeiText
    treasury_allowance_wei: str = Field(description="wei, or `unlimited`")


class VaultRow(Shape):
    """One epoch in the carbon vault, on chain and in the books; what is covered covers the oldest epochs first."""

    epoch: Count
    received_wei_chain: IntegerText
    received_wei_books: IntegerText
    owed_ug_chain: IntegerText
    owed_ug_books: IntegerText
    paid_for_ug_chain: IntegerText
    paid_for_ug_books: IntegerText
    retired_ug_chain: IntegerText
    retired_ug_books: IntegerText
    price_wei_per_tonne: IntegerText
    cap_wei: WeiText
    carried_ug: IntegerText


async def show_chain(request: Request) -> Response:
    """How far the books have followed the chain; asks no node."""
    return await fact(request, lambda desk: Found(chain_standing(desk.ledger, desk.deployment)))


async def list_transactions(request: Request, paging: Paged) -> Response:
    """Every transaction this ledger planned, by sender and nonce, and where it stands."""

    def ask(desk: Desk) -> Page:
        rows = transaction_rows(desk.ledger)
        key = paging.after(bytes, int)
        return slice_page(rows, lambda row: (parse_address(row["sender"]), row["nonce"]), key, paging.limit)

    return await listing(request, paging, TransactionRow, ask)


async def show_contracts(request: Request) -> Response:
    """What the contracts hold and wait for now; asks a node of the chain."""

    def ask(desk: Desk) -> Found:
        settlement = desk.chain.settlement()
        return Found(chain_status(settlement.connection, settlement.deployment))

    return await fact(request, ask, way=asking_chain)


async def list_vault(request: Request, paging: Paged) -> Response:
    """The carbon vault by epoch, on chain and in the books, at the block the books are final to; asks a node."""

    def ask(desk: Desk) -> Page:
        found = desk.ledger.remembered.get(("vault rows", standing(desk.ledger).seq), lambda: _vault_rows(desk))
        return slice_page(found, lambda row: (row["epoch"],), paging.after(int), paging.limit)

    return await listing(request, paging, VaultRow, ask, way=asking_chain)


def _vault_rows(desk: Desk) -> list[dict[str, Any]]:
    return [each.row() for each in vault_standing(desk.ledger).epochs]


fact_route(router, "/chain", show_chain, ChainStanding)
list_route(router, "/chain/transactions", list_transactions, TransactionRow)
fact_route(router, "/chain/contracts", show_contracts, ContractsNow)
list_route(router, "/carbon/vault", list_vault, VaultRow)
