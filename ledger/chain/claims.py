"""An operator's claim: checked here, then by the contract, before anything is signed.

A claim is cumulative, so claiming twice pays once: the second is `settled` and needs no transaction.
"""

from dataclasses import dataclass
from enum import StrEnum

from ledger.chain.contracts.contract import Call
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.node.connection import Block, Connection
from ledger.model.errors import MismatchError, RefusedError
from ledger.model.units import ZERO_HASH, Address, Hash32, Wei, to_hex
from ledger.tree.abi import address_word, uint_word
from ledger.tree.keccak import checksum_address
from ledger.tree.payout import MAX_CUMULATIVE, PayoutProof
from ledger.tree.standard import leaf_hash, verify_proof


class ProofMismatchError(MismatchError):
    """The proof does not lead to a root the contract accepts."""

    code = "claim.proof-mismatch"
    default_hint = "ath-ledger rewards proof, with an epoch that is active on chain"


class ClaimsPausedError(RefusedError):
    """The guardian has paused claims; nothing is lost."""

    code = "claim.paused"
    default_hint = "wait until the governor resumes them; rewards never expire"


class AcceptedRoot(StrEnum):
    """Which of the contract's roots a proof leads to."""

    CURRENT = "current"
    PREVIOUS = "previous"
    """Still paid, but a newer leaf may hold more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimQuote:
    """What a claim would pay, at one block."""

    account: Address
    payee: Address
    cumulative_wei: Wei
    """`amount` in the words of Merkl: everything the leaf holds."""
    claimed_wei: Wei
    claimable_wei: Wei
    """`pending`: what would be paid."""
    root: AcceptedRoot | None
    """None when the leaf is settled and its root no longer current."""
    block: int
    call: Call

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to claim with this leaf."""
        return self.claimable_wei == 0


def quote_claim(connection: Connection, deployment: Deployment, proof: PayoutProof, at: Block) -> ClaimQuote:
    """Verify the proof against the contract's roots and say what it would pay; nothing is sent.

    Raises ProofMismatchError, ClaimsPausedError; CallRevertedError comes later, from `plan_transaction`.
    """
    ledger = deployment.rewards_ledger(connection)
    claimed = ledger.claimed_wei(proof.account, at.hash)
    claimable = max(0, proof.cumulative_wei - claimed)
    root = _accepted_root(proof, ledger.claim_root(at.hash), ledger.previous_root(at.hash))
    if root is None and claimable > 0:
        if ledger.is_paused(at.hash):
            raise ClaimsPausedError(f"claims are paused at block {at.number}")
        raise ProofMismatchError(
            f"the leaf of {checksum_address(proof.account)} over {proof.cumulative_wei} wei does not lead to the root "
            f"{to_hex(ledger.claim_root(at.hash))} of block {at.number}"
        )
    return ClaimQuote(
        account=proof.account,
        payee=ledger.payee_of(proof.account, at.hash),
        cumulative_wei=proof.cumulative_wei,
        claimed_wei=claimed,
        claimable_wei=Wei(claimable),
        root=root,
        block=at.number,
        call=ledger.claim(proof.account, proof.cumulative_wei, proof.proof),
    )


def _accepted_root(proof: PayoutProof, current: Hash32, previous: Hash32) -> AcceptedRoot | None:
    if proof.cumulative_wei > MAX_CUMULATIVE:
        return None
    leaf = leaf_hash(address_word(proof.account) + uint_word(proof.cumulative_wei))
    for root, meaning in ((current, AcceptedRoot.CURRENT), (previous, AcceptedRoot.PREVIOUS)):
        if root != ZERO_HASH and verify_proof(root, leaf, proof.proof):
            return meaning
    return None
