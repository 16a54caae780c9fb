"""R3: what the contracts hold and did in all, against the accounts, at one pinned block."""

from collections.abc import Iterator

from ledger.books.accounts import (
    CARBON_HELD,
    CARBON_OWED,
    CARBON_PAID_FOR,
    CARBON_RESIDUAL,
    CARBON_RETIRED,
    CARBON_SPENT,
    CORRECTIONS,
    EMISSION,
    RESERVE_PAID,
    ROLLOVER,
    claimed,
    payable,
)
from ledger.chain.contracts.artefacts import CARBON_VAULT, REWARDS_LEDGER
from ledger.chain.following.epoch_history import epoch_history
from ledger.chain.following.governed import policies
from ledger.chain.node.connection import Block
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.auditing.node import require_shown
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.finding import Finding, amounts, compared, covered
from ledger.steps.reconciling.settled_books import SettledBooks
from ledger.steps.recorded.sealed import parent_header_hash
from ledger.steps.settlement import Settlement


def chain_totals(ledger: Ledger, settlement: Settlement, at: Block, books: SettledBooks) -> Iterator[Finding]:
    """Headers, emission, rollover, what was pulled, the reserve, the vault, and the money behind them."""
    connection, deployment = settlement.connection, settlement.deployment
    contract = settlement.rewards_ledger
    history = epoch_history(connection, deployment, at)
    require_shown(contract, history, at)
    activated = history.activated
    with ledger.database.reading() as session:
        ours = parent_header_hash(session, EpochNumber(len(books.activated)))
    yield compared("R3", "epochs activated", len(books.activated), contract.next_epoch(at.hash))
    yield compared(
        "R3", "last header, and with it the books' head", to_hex(ours), to_hex(contract.last_header_hash(at.hash))
    )
    scheduled = policies(connection, deployment, at)
    budgets = sum(scheduled.policy_for_epoch(epoch).policy.epoch_budget_wei for epoch in activated)
    pulled = sum(header.payout + header.carbon + header.reserve for header in activated.values())
    vault = deployment.carbon_vault(connection).totals(at.hash)
    wanted = {
        EMISSION: -budgets,
        ROLLOVER: contract.rollover_wei(at.hash),
        RESERVE_PAID: sum(header.reserve for header in activated.values()),
        CARBON_HELD: vault.received_wei - vault.spent_wei,
        CARBON_SPENT: vault.spent_wei,
        CARBON_RESIDUAL: -vault.owed_ug,
        CARBON_OWED: vault.owed_ug - vault.paid_for_ug,
        CARBON_PAID_FOR: vault.paid_for_ug - vault.retired_ug,
        CARBON_RETIRED: vault.retired_ug,
    }
    for account, found in wanted.items():
        yield amounts("R3", account, books.of(account), found, account=account)
    open_wei = sum(books.of(payable(operator)) for operator in books.operators) + books.of(CORRECTIONS)
    paid_wei = sum(books.of(claimed(operator)) for operator in books.operators)
    others_wei = books.of(CARBON_HELD) + books.of(CARBON_SPENT) + books.of(RESERVE_PAID)
    yield amounts("R3", "pulled from the treasury", open_wei + paid_wei + others_wei, pulled)
    token = deployment.token(connection)
    held_wei = token.balance_wei(deployment.addresses[REWARDS_LEDGER], at.hash)
    yield covered("R3", "tokens behind what operators may still claim", open_wei, held_wei)
    vault_wei = token.balance_wei(deployment.addresses[CARBON_VAULT], at.hash)
    yield covered("R3", "tokens behind the carbon vault", books.of(CARBON_HELD), vault_wei)
