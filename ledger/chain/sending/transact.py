"""One transaction of a person's own account: shown whole before it is signed, then sent and awaited.

For accounts the outbox does not own (an operator's claim, a governor's wallet). Safe to repeat only when
the call itself is, as claims are: what must happen exactly once goes through the outbox.
"""

import time
from dataclasses import dataclass
from typing import Final

from ledger.chain.contracts.contract import Call
from ledger.chain.errors import (
    CallRevertedError,
    ChainUnreachableError,
    FundsMissingError,
    RpcError,
    TransactionPendingError,
    TransactionRevertedError,
)
from ledger.chain.node.connection import Connection, Receipt
from ledger.chain.sending.fees import FeePolicy
from ledger.chain.sending.preflight import gas_limit, require_accepted
from ledger.chain.sending.signer import Signer, Transaction
from ledger.model.errors import UsageError
from ledger.model.units import Address, Hash32, to_hex
from ledger.tree.keccak import checksum_address

_KNOWN: Final = ("already known", "already imported")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionPlan:
    """A dry run: the contract accepts the call now, and this is what it would cost at most."""

    sender: Address
    call: Call
    transaction: Transaction

    @property
    def max_cost_wei(self) -> int:
        """Gas limit times fee cap, in the chain's own coin: it can only be less."""
        return self.transaction.gas * self.transaction.max_fee_per_gas_wei


def plan_transaction(
    connection: Connection, sender: Address, call: Call, fees: FeePolicy | None = None
) -> TransactionPlan:
    """Ask the contract, estimate gas, choose fees and nonce. Raises CallRevertedError with the decoded reason."""
    require_accepted(connection, sender, call.to, call.calldata)
    gas = gas_limit(connection, sender, call.to, call.calldata)
    fee = (fees or FeePolicy()).first(connection.head().base_fee_wei)
    transaction = Transaction(
        chain_id=connection.chain_id,
        nonce=connection.nonce(sender, "pending"),
        to=call.to,
        value_wei=0,
        calldata=call.calldata,
        gas=gas,
        max_fee_per_gas_wei=fee.max_fee_wei,
        max_priority_fee_per_gas_wei=fee.priority_fee_wei,
    )
    return TransactionPlan(sender=sender, call=call, transaction=transaction)


def send(connection: Connection, signer: Signer, plan: TransactionPlan, *, patience_seconds: float = 60) -> Receipt:
    """Sign, broadcast and wait for the receipt.

    Raises TransactionPendingError with the hash when it is not mined in time or the node did not answer,
    TransactionRevertedError when it was mined and moved nothing, FundsMissingError.
    """
    if signer.address != plan.sender:
        raise UsageError(f"{checksum_address(signer.address)} cannot sign for {checksum_address(plan.sender)}")
    connection.check_identity()
    signed = signer.sign(plan.transaction)
    try:
        connection.broadcast(signed.raw)
    except ChainUnreachableError as error:
        raise TransactionPendingError(f"{to_hex(signed.tx_hash)} may have been sent: {error.what}") from error
    except RpcError as error:
        if "insufficient funds" in error.message.lower():
            raise FundsMissingError(f"{checksum_address(plan.sender)} cannot pay: {error.message}") from error
        if not any(words in error.message.lower() for words in _KNOWN):
            raise
    receipt = await_receipt(connection, signed.tx_hash, patience_seconds)
    if not receipt.succeeded:
        raise TransactionRevertedError(f"{to_hex(signed.tx_hash)} was reverted: {_why(connection, plan, receipt)}")
    return receipt


def await_receipt(connection: Connection, tx_hash: Hash32, patience_seconds: float) -> Receipt:
    """The receipt, once it is mined. Raises TransactionPendingError."""
    deadline = time.monotonic() + patience_seconds
    pause = 0.005
    while True:
        receipt = connection.receipts([tx_hash])[0]
        if receipt is not None:
            return receipt
        if time.monotonic() > deadline:
            raise TransactionPendingError(f"{to_hex(tx_hash)} is sent and not mined yet")
        time.sleep(pause)
        pause = min(0.5, 2 * pause)


def _why(connection: Connection, plan: TransactionPlan, receipt: Receipt) -> str:
    """The refusal, by asking the same call again at the block it was mined in."""
    try:
        require_accepted(connection, plan.sender, plan.call.to, plan.call.calldata, at=receipt.block_number)
    except CallRevertedError as error:
        return error.reason
    return "the state it met has changed since"
