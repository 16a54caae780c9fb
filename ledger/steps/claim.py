"""An operator's claim: the proof, what it would pay, and sending it. A claim pays once however often it is sent.

Checked in this order: the proof against our tree, against the contract's roots, then by the contract itself
(`eth_call`), and only then is anything signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledger.books.accounts import Asset, TransferCode, claimed, payable
from ledger.books.posting import EntryKind
from ledger.books.transfers import Transfer
from ledger.chain.claims import ClaimQuote, quote_claim
from ledger.chain.contracts.artefacts import REWARDS_LEDGER, interface
from ledger.chain.contracts.contract import Call
from ledger.chain.contracts.logs import fetch_logs
from ledger.chain.errors import TransactionPendingError
from ledger.chain.node.anchor import final_anchor
from ledger.chain.node.connection import Block
from ledger.chain.sending.signer import Signer
from ledger.chain.sending.transact import TransactionPlan, plan_transaction, send
from ledger.db import chain_log, epochs, journal, outbox
from ledger.model.epoch import SEALED_STATES
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32, Wei, from_hex, to_hex
from ledger.steps.auditing.node import followed_to, require_reached
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.operator_proof import proof_of
from ledger.steps.recorded.sealed import standing_header
from ledger.steps.settlement import Settlement
from ledger.steps.transactions.sending import send_once
from ledger.tree.canonical import parse_canonical
from ledger.tree.keccak import checksum_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the operator can claim at one block."""

    epoch: EpochNumber
    quote: ClaimQuote

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """The lines the journal will have once the claim is final."""
        account, amount = self.quote.account, self.quote.claimable_wei
        if not amount:
            return ()
        return (Transfer(payable(account), claimed(account), amount, Asset.ATH, TransferCode.CLAIM),)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastClaim:
    """A withdrawal that happened; `is_booked` once its block is final and the journal has it."""

    amount_wei: Wei
    cumulative_wei: Wei
    payee: Address
    block: int
    transaction: Hash32
    is_booked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A transaction that was mined."""

    transaction: Hash32
    block: int
    nonce: int


def claim_of(ledger: Ledger, operator: Address) -> Claim:
    """What the operator can claim now, with the newest tree whose root the contract accepts.

    Raises NothingEarnedError, ProofMismatchError, ClaimsPausedError, ChainBehindError, and the chain's own errors.
    """
    settlement = ledger.settlement()
    connection = settlement.connection

    def look() -> Claim:
        at = connection.head()
        # on a node that lags, roots the books know to be active are not there yet: that is no fault of the proof
        require_reached(at.number, followed_to(ledger), "the books are final to")
        found = proof_of(ledger, operator, _epoch_on_chain(ledger, settlement, at))
        return Claim(epoch=found.epoch, quote=quote_claim(connection, settlement.deployment, found.leaf, at))

    return connection.in_one_look(look, final_anchor(ledger.database, ledger.domain.chain_id))


def plan(ledger: Ledger, sender: Address, call: Call) -> TransactionPlan:
    """The transaction, after the contract accepted the call. Raises CallRevertedError, TransactionPendingError."""
    settlement = ledger.settlement()
    _require_idle(settlement, sender)
    return plan_transaction(settlement.connection, sender, call, settlement.fees)


def send_call(ledger: Ledger, signer: Signer, call: Call, purpose: str) -> Sent:
    """Send a call that is harmless when it is sent twice, and wait for its receipt.

    An account whose nonces belong to this ledger's outbox sends through it; any other one stays its owner's.
    Raises what `plan`, `send` and `send_once` raise.
    """
    settlement = ledger.settlement()
    with ledger.database.reading() as session:
        owned = outbox.first_nonce(session, settlement.connection.chain_id, signer.address) is not None
    if owned:
        entry = send_once(ledger, signer, call, purpose)
        return Sent(transaction=entry.tx_hash or Hash32(b""), block=entry.block_number or 0, nonce=entry.nonce)
    planned = plan(ledger, signer.address, call)
    receipt = send(settlement.connection, signer, planned)
    return Sent(transaction=receipt.tx_hash, block=receipt.block_number, nonce=planned.transaction.nonce)


def past_claims(ledger: Ledger, operator: Address) -> list[PastClaim]:
    """The operator's withdrawals in order: those in the books, then those the chain has and the books await."""
    booked = booked_claims(ledger, operator)
    with ledger.database.reading() as session:
        final = chain_log.final_point(session, ledger.domain.chain_id)
    known = {claim.transaction for claim in booked}
    return booked + [claim for claim in _mined(ledger, operator, final) if claim.transaction not in known]


def booked_claims(ledger: Ledger, operator: Address) -> list[PastClaim]:
    """The operator's withdrawals that are in the books, in order; needs no chain."""
    with ledger.database.reading() as session:
        bodies = [parse_canonical(each.canonical)["body"] for each in journal.entries(session, kind=EntryKind.CLAIM)]
    return [_booked(body) for body in bodies if body["account"] == to_hex(operator)]


def payee_call(ledger: Ledger, operator: Address, payee: Address) -> tuple[Address, Call]:
    """Where the operator's claims go now, and the call that lets later ones go to `payee`."""
    settlement = ledger.settlement()
    contract = settlement.rewards_ledger
    return contract.payee_of(operator, settlement.connection.head().hash), contract.set_payee(payee)


def _epoch_on_chain(ledger: Ledger, settlement: Settlement, at: Block) -> EpochNumber | None:
    """The newest epoch here whose root the contract pays; None when that is none of ours."""
    contract = settlement.rewards_ledger
    roots = {contract.claim_root(at.hash), contract.previous_root(at.hash)} - {ZERO_HASH}
    with ledger.database.reading() as session:
        sealed = [each.epoch for each in epochs.all_standings(session) if each.state in SEALED_STATES]
        for epoch in reversed(sealed):
            if standing_header(session, epoch).claim_root in roots:
                return epoch
    return None


def _require_idle(settlement: Settlement, sender: Address) -> None:
    """A transaction on its way may be this very claim: sending another one would pay a fee for nothing."""
    connection = settlement.connection
    waiting = connection.nonce(sender, "pending") - connection.nonce(sender, "latest")
    if waiting > 0:
        raise TransactionPendingError(
            f"{checksum_address(sender)} has {waiting} transactions that are not mined yet",
            hint="run the same command again once they are",
        )


def _booked(body: Mapping[str, Any]) -> PastClaim:
    return PastClaim(
        amount_wei=Wei(int(body["amountWei"])),
        cumulative_wei=Wei(int(body["cumulativeWei"])),
        payee=Address(from_hex(body["payee"], 20)),
        block=int(body["at"]["block"]),
        transaction=Hash32(from_hex(body["at"]["transaction"], 32)),
        is_booked=True,
    )


def _mined(ledger: Ledger, operator: Address, final: chain_log.FinalPoint | None) -> list[PastClaim]:
    settlement = ledger.settlement()
    contract = interface(REWARDS_LEDGER)
    address = settlement.deployment.addresses[REWARDS_LEDGER]
    first = settlement.deployment.first_block if final is None else final.number + 1
    found = []
    head = settlement.connection.head().number
    for log in fetch_logs(settlement.connection, [address], first, head, [contract.events["Claimed"]]):
        event = contract.event(log.topics, log.data)
        if event is not None and event.arguments["account"] == operator:
            found.append(
                PastClaim(
                    amount_wei=Wei(event.arguments["amount"]),
                    cumulative_wei=Wei(event.arguments["cumulative"]),
                    payee=Address(event.arguments["payee"]),
                    block=log.block_number,
                    transaction=log.tx_hash,
                    is_booked=False,
                )
            )
    return found
