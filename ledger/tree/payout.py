"""The payout tree: one leaf per operator, (address account, uint256 cumulative), and its proofs (E2.9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from ledger.model.units import Address, Hash32, Wei
from ledger.tree.abi import EncodingError, address_word
from ledger.tree.standard import LeafNotFoundError, StandardTree, TreeError, leaf_hash, verify_proof

PAYOUT_ENCODING = ("address", "uint256")
MAX_CUMULATIVE = 2**96 - 1
"""What the contract's claimed amount holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutProof:
    """What an operator shows the contract to be paid."""

    account: Address
    cumulative_wei: Wei
    root: Hash32
    proof: tuple[Hash32, ...]

    @property
    def holds(self) -> bool:
        """Whether the proof leads from the account and its amount to the root."""
        leaf = address_word(self.account) + self.cumulative_wei.to_bytes(32, "big")
        return verify_proof(self.root, leaf_hash(leaf), self.proof)


def payout_tree(accounts: Sequence[Address], cumulatives: Sequence[int]) -> StandardTree:
    """The tree over each account's cumulative payout in wei, rows by ascending account.

    Raises EncodingError for an account given twice (the contract would pay whichever leaf is larger)
    and for an amount that is negative or does not fit 96 bits.
    """
    if len(accounts) != len(cumulatives):
        raise EncodingError(f"{len(accounts)} accounts for {len(cumulatives)} amounts")
    if set(map(len, accounts)) - {20}:
        raise EncodingError("an account of the payout tree is not an address of 20 bytes")
    if set(map(type, cumulatives)) - {int} or min(cumulatives, default=0) < 0:
        raise EncodingError("an amount of the payout tree is no natural number")
    if max(cumulatives, default=0) > MAX_CUMULATIVE:
        raise EncodingError(f"an amount of {max(cumulatives)} wei does not fit the contract's 96 bits")
    if len(set(accounts)) != len(accounts):
        raise EncodingError(f"account 0x{_first_repeated(accounts).hex()} has two leaves")
    order = sorted(range(len(accounts)), key=accounts.__getitem__)
    zeros = bytes(12)
    rows = [zeros + accounts[index] + cumulatives[index].to_bytes(32, "big") for index in order]
    return StandardTree.of_encoded(PAYOUT_ENCODING, rows)


def payout_proof(tree: StandardTree, account: Address) -> PayoutProof:
    """The account's amount and proof, found by binary search and checked against the root.

    Raises LeafNotFoundError when the account has no leaf, TreeError when the stored tree is damaged.
    """
    if tree.leaf_encoding != PAYOUT_ENCODING:
        raise TreeError(f"leaf types {','.join(tree.leaf_encoding)} are no payout tree's")
    index = _index_of(tree, address_word(account))
    _, cumulative = tree.value_at(index)
    proof = tuple(tree.proof_at(index))
    found = PayoutProof(account=account, cumulative_wei=Wei(cast(int, cumulative)), root=tree.root, proof=proof)
    if not found.holds:
        raise TreeError(f"the stored proof of 0x{account.hex()} does not lead to the root")
    return found


def payout_amount(tree: StandardTree, account: Address) -> Wei:
    """The account's cumulative wei; 0 when it has no leaf. Without a proof: the tree is the one that was checked."""
    try:
        index = _index_of(tree, address_word(account))
    except LeafNotFoundError:
        return Wei(0)
    return Wei(cast(int, tree.value_at(index)[1]))


def _first_repeated(accounts: Sequence[Address]) -> Address:
    ascending = sorted(accounts)
    return next(after for before, after in pairwise(ascending) if before == after)


def _index_of(tree: StandardTree, account: bytes) -> int:
    first, beyond = 0, len(tree)
    while first < beyond:
        middle = (first + beyond) // 2
        if tree.encoded_at(middle)[:32] < account:
            first = middle + 1
        else:
            beyond = middle
    if first == len(tree) or tree.encoded_at(first)[:32] != account:
        raise LeafNotFoundError(f"account 0x{account[12:].hex()} has no leaf in this tree")
    return first
