"""Acting in a role: a call with its role, its delay and the transaction that does it or announces it.

A role without delay calls the contract itself. A role with delay announces the call, waits, and executes it;
the announcement is public in between and the guardian may cancel it.
"""

from dataclasses import dataclass

from ledger.chain.contracts.access_manager import operation_id
from ledger.chain.contracts.artefacts import REWARDS_LEDGER, interface
from ledger.chain.contracts.contract import Call
from ledger.chain.contracts.logs import fetch_logs
from ledger.chain.contracts.roles import Role
from ledger.chain.node.connection import Block
from ledger.model.errors import NotFoundError, RefusedError
from ledger.model.header import EpochHeader
from ledger.model.units import Address, Hash32, Timestamp, to_hex
from ledger.steps.governing.operations import OPEN_OPERATIONS, Operation, OperationState, latest, operations
from ledger.steps.ledger import Ledger
from ledger.steps.settlement import Settlement
from ledger.tree.commitments import header_hash
from ledger.tree.keccak import checksum_address


class RoleMissingError(RefusedError):
    """The account does not hold the role a function asks for."""

    code = "governance.role"
    default_hint = "ath-ledger chain roles"


class OperationClosedError(RefusedError):
    """An announced operation can no longer be executed, or not yet."""

    code = "governance.operation-closed"
    default_hint = "ath-ledger gov status"


class NothingPendingError(NotFoundError):
    """No epoch is in its window."""

    code = "governance.nothing-pending"
    default_hint = "ath-ledger chain status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How one account gets one call done."""

    sender: Address
    call: Call
    """What is to happen."""
    role: Role
    delay_seconds: int
    operation_id: Hash32 | None
    """Under which name it is announced; None where the role has no delay."""
    transaction: Call
    """What the account sends now: the call itself, or its announcement."""
    ready_at: Timestamp
    """Earliest second at which the call takes effect."""
    announced: Operation | None
    """The announcement that stands already, if one does."""


def now(ledger: Ledger, at: Block) -> Timestamp:
    """The later of the ledger's clock and the chain's last block: nothing can be mined before it."""
    return max(ledger.clock.now(), at.timestamp)


def route(ledger: Ledger, sender: Address, call: Call) -> Route:
    """How the account does this call. Raises RoleMissingError before anything is signed."""
    settlement = ledger.settlement()
    at = settlement.connection.head()
    manager = settlement.deployment.access_manager(settlement.connection)
    role = Role(manager.function_role(call.to, call.calldata[:4], at.hash))
    access = manager.access(role, sender, at.hash)
    if not access.is_member:
        raise RoleMissingError(f"{call.contract}.{call.meaning.name} asks for {role.name}, which "
                               f"{checksum_address(sender)} does not hold")  # fmt: skip
    if access.delay_seconds == 0:
        return Route(
            sender=sender, call=call, role=role, delay_seconds=0, operation_id=None, transaction=call,
            ready_at=now(ledger, at), announced=None,
        )  # fmt: skip
    operation = operation_id(sender, call)
    standing = [
        each for each in operations(settlement, at) if each.operation_id == operation and each.state in OPEN_OPERATIONS
    ]
    announced = standing[-1] if standing else None
    return Route(
        sender=sender,
        call=call,
        role=role,
        delay_seconds=access.delay_seconds,
        operation_id=operation,
        transaction=manager.schedule(call),
        ready_at=announced.ready_at if announced else Timestamp(now(ledger, at) + access.delay_seconds),
        announced=announced,
    )


def execution(ledger: Ledger, sender: Address, operation: Hash32) -> tuple[Operation, Call | None]:
    """An announced operation and the transaction that executes it; None when it was executed already.

    Raises OperationUnknownError, OperationClosedError (not ready, expired, cancelled, another's).
    """
    settlement = ledger.settlement()
    at = settlement.connection.head()
    found = latest(operations(settlement, at), operation)
    name = f"operation {to_hex(operation)}"
    match found.state:
        case OperationState.EXECUTED:
            return found, None
        case OperationState.WAITING:
            raise OperationClosedError(
                f"{name} may be executed from {found.ready_at} on; the chain's time is {at.timestamp}",
                hint="wait, then run the same command; on a workspace's own chain: ath-ledger chain warp",
            )
        case OperationState.EXPIRED:
            raise OperationClosedError(f"{name} expired at {found.expires_at}", hint="announce it again")
        case OperationState.CANCELLED:
            raise OperationClosedError(f"{name} was cancelled", hint="announce it again if it is still wanted")
    if found.caller != sender:
        raise OperationClosedError(
            f"{name} was announced by {checksum_address(found.caller)}, not by {checksum_address(sender)}",
            hint="only the account that announced an operation can execute it",
        )
    return found, settlement.deployment.access_manager(settlement.connection).execute(found.call)


def cancellation(ledger: Ledger, operation: Hash32) -> tuple[Operation, Call | None]:
    """An announced operation and the transaction that takes it back; None when that was done already.

    For whoever announced it, or the guardian. Raises OperationUnknownError, OperationClosedError.
    """
    settlement = ledger.settlement()
    found = latest(operations(settlement, settlement.connection.head()), operation)
    if found.state is OperationState.CANCELLED:
        return found, None
    if found.state not in OPEN_OPERATIONS:
        raise OperationClosedError(f"operation {to_hex(operation)} is {found.state} and cannot be cancelled")
    manager = settlement.deployment.access_manager(settlement.connection)
    return found, manager.cancel(found.caller, found.call)


def pending_header(settlement: Settlement, at: Block) -> EpochHeader:
    """The header of the epoch in its window, from the log that proposed it. Raises NothingPendingError."""
    pending = settlement.rewards_ledger.pending(at.hash)
    if pending is None:
        raise NothingPendingError(f"no epoch is proposed at block {at.number}")
    contract = interface(REWARDS_LEDGER)
    address = settlement.deployment.addresses[REWARDS_LEDGER]
    first = settlement.deployment.first_block
    for log in fetch_logs(settlement.connection, [address], first, at.number, [contract.events["EpochProposed"]]):
        event = contract.event(log.topics, log.data)
        if event is not None and event.arguments["header_hash"] == pending.header_hash:
            header = EpochHeader(**event.arguments["header"])
            if header_hash(header) == pending.header_hash:
                return header
    raise NothingPendingError(f"the proposal {to_hex(pending.header_hash)} is in no log up to block {at.number}")
