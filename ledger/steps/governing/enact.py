"""One governance decision, as far as it can go now: done, announced, or executed once its delay has passed.

Run again with the same decision it continues: what is announced is not announced twice, what is ready is executed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ledger.chain.contracts.contract import Call
from ledger.chain.sending.preflight import require_accepted
from ledger.chain.sending.signer import Signer
from ledger.model.units import Hash32, Timestamp
from ledger.steps.governing.govern import route
from ledger.steps.governing.operations import OperationState
from ledger.steps.ledger import Ledger
from ledger.steps.transactions.sending import send_once


class Stage(StrEnum):
    """How far a decision has come."""

    PLANNED = "planned"
    """A dry run: the contract would take the next transaction now; nothing was sent."""
    ANNOUNCED = "announced"
    """Public, and waiting for its delay."""
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enactment:
    """What was done, or would be."""

    stage: Stage
    call: Call
    """What the decision comes down to."""
    next_transaction: Call | None
    """What a dry run would send; None when there is nothing to send now."""
    operation_id: Hash32 | None
    """Under which name it is announced; None where the role has no delay."""
    ready_at: Timestamp
    """Earliest second at which the decision takes effect."""
    tx_hash: Hash32 | None = None


def enact(
    ledger: Ledger,
    signer: Signer,
    call: Call,
    purpose: str,
    *,
    broadcast: bool,
    require: Callable[[int], None] = lambda _delay_seconds: None,
) -> Enactment:
    """Take the next transaction towards a call whose effect is wanted and not there yet.

    `require` is asked with the role's delay before a call is announced for the first time: it raises what the
    contract would refuse only after the delay. Raises RoleMissingError, CallRevertedError with the decoded
    reason, and what `send_once` raises.
    """
    settlement = ledger.settlement()
    way = route(ledger, signer.address, call)
    transaction: Call | None = way.transaction
    reached = Stage.DONE if way.operation_id is None else Stage.ANNOUNCED
    if way.announced is None:
        require(way.delay_seconds)
    elif way.announced.state is OperationState.READY:
        transaction, reached = settlement.deployment.access_manager(settlement.connection).execute(call), Stage.DONE
        purpose = "execute"
    else:
        transaction = None
    tx_hash = None
    if transaction is not None and broadcast:
        verb = purpose if reached is Stage.DONE else f"announce-{purpose}"
        tx_hash = send_once(ledger, signer, transaction, verb).tx_hash
    elif transaction is not None:
        require_accepted(settlement.connection, signer.address, transaction.to, transaction.calldata)
        reached = Stage.PLANNED
    return Enactment(
        stage=reached,
        call=call,
        next_transaction=None if broadcast else transaction,
        operation_id=way.operation_id,
        ready_at=way.ready_at,
        tx_hash=tx_hash,
    )
