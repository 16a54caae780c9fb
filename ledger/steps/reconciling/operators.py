"""R4: every operator's cumulative and claimed amount on chain, against its accounts.

The chain holds the root of all cumulative amounts: the stored tree is validated, its root held against the
contract's, and each leaf against the accounts. What was claimed is read from storage, in batches.
"""

from collections.abc import Iterator, Mapping

from ledger.books.accounts import claimed, payable
from ledger.chain.contracts.rewards_ledger import RewardsLedgerContract
from ledger.chain.node.connection import Block
from ledger.model.errors import LedgerError
from ledger.model.units import ZERO_HASH, Address, Hash32, Wei, to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.finding import Finding, Outcome, amounts, compared
from ledger.steps.reconciling.settled_books import SettledBooks
from ledger.steps.recorded.sealed import tree_of


def operator_findings(
    ledger: Ledger, contract: RewardsLedgerContract, at: Block, books: SettledBooks
) -> Iterator[Finding]:
    """The tree's root against the contract's, then operator by operator; those that agree are counted in one line."""
    leaves: dict[Address, Wei] = {}
    root = ZERO_HASH
    if books.activated:
        try:
            with ledger.database.reading() as session:
                tree = tree_of(ledger, session, books.activated[-1])
            tree.validate()
        except LedgerError as error:
            yield compared(
                "R4", f"claim tree of epoch {books.activated[-1]}", error.what, "a tree whose hashes are right"
            )
            return
        rows = (tree.value_at(index) for index in range(len(tree)))
        leaves = {Address(bytes(account)): Wei(int(amount)) for account, amount in rows}
        root = tree.root
    yield compared("R4", "root of all cumulative amounts", to_hex(root), to_hex(current_root(contract, at)))
    yield from differing_operators(contract, at, books, leaves)


def differing_operators(
    contract: RewardsLedgerContract, at: Block, books: SettledBooks, leaves: Mapping[Address, Wei]
) -> Iterator[Finding]:
    """Each account that is not what the chain makes of it, and one line for all that are."""
    operators = sorted(leaves.keys() | set(books.operators))
    differing = 0
    for operator, held in zip(operators, contract.accounts_of(operators, at.hash), strict=True):
        claimable = leaves.get(operator, 0) - held.claimed_wei
        pair = (
            amounts("R4", "claimable", books.of(payable(operator)), claimable, account=payable(operator)),
            amounts("R4", "claimed", books.of(claimed(operator)), held.claimed_wei, account=claimed(operator)),
        )
        wrong = [each for each in pair if each.outcome is Outcome.DIFFERS]
        differing += bool(wrong)
        yield from wrong
    agree = f"{len(operators) - differing} of {len(operators)}"
    yield Finding(rule="R4", what="operators that agree", books=agree, found=agree, outcome=Outcome.AGREES)


def current_root(contract: RewardsLedgerContract, at: Block) -> Hash32:
    """The root claims are checked against, also while they are paused."""
    return contract.saved_root(at.hash) if contract.is_paused(at.hash) else contract.claim_root(at.hash)
