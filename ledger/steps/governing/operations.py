"""Announced operations: what governors have said they will do, and where each stands, from the AccessManager's logs.

Every announcement is public for the whole delay, so anybody can read here what will change and when.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from ledger.chain.contracts.artefacts import ACCESS_MANAGER, interface
from ledger.chain.contracts.contract import Call
from ledger.chain.contracts.interface import Decoded
from ledger.chain.contracts.logs import fetch_logs
from ledger.chain.contracts.roles import GuardedFunction, Role
from ledger.chain.node.connection import Block
from ledger.model.errors import NotFoundError
from ledger.model.units import Address, Hash32, Timestamp, to_hex
from ledger.steps.settlement import Settlement


class OperationUnknownError(NotFoundError):
    """Nobody announced such an operation."""

    code = "governance.unknown-operation"
    default_hint = "ath-ledger gov status"


class OperationState(StrEnum):
    """waiting → ready → executed; or cancelled, or expired a week after it was ready."""

    WAITING = "waiting"
    READY = "ready"
    EXECUTED = "executed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


OPEN_OPERATIONS = frozenset({OperationState.WAITING, OperationState.READY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One announcement of one call."""

    operation_id: Hash32
    number: int
    """The same call may be announced again after it was executed, cancelled or expired: from 1."""
    caller: Address
    call: Call
    ready_at: Timestamp
    expires_at: Timestamp
    state: OperationState
    block: int
    """Where it was announced."""


def operations(settlement: Settlement, at: Block) -> tuple[Operation, ...]:
    """Every announcement up to a block, in the order they were made, as each stands at that block's time."""
    deployment, connection = settlement.deployment, settlement.connection
    manager = interface(ACCESS_MANAGER)
    address = deployment.addresses[ACCESS_MANAGER]
    names = ("OperationScheduled", "OperationExecuted", "OperationCanceled")
    topics = [manager.events[name] for name in names]
    lifetime = int(deployment.access_manager(connection).read("expiration", at=at.hash))
    found: dict[tuple[Hash32, int], Operation] = {}
    for log in fetch_logs(connection, [address], deployment.first_block, at.number, topics):
        event = manager.event(log.topics, log.data)
        if event is None:
            continue
        key = (Hash32(event.arguments["operation_id"]), int(event.arguments["nonce"]))
        match event.name:
            case "OperationScheduled":
                found[key] = _announced(settlement, key, event, lifetime, at, log.block_number)
            case "OperationExecuted":
                found[key] = replace(found[key], state=OperationState.EXECUTED)
            case _:
                found[key] = replace(found[key], state=OperationState.CANCELLED)
    return tuple(found.values())


def latest(found: tuple[Operation, ...], operation_id: Hash32) -> Operation:
    """The newest announcement of an operation. Raises OperationUnknownError."""
    for operation in reversed(found):
        if operation.operation_id == operation_id:
            return operation
    raise OperationUnknownError(f"operation {to_hex(operation_id)} was never announced")


def role_of(functions: tuple[GuardedFunction, ...], call: Call) -> Role:
    """The role a call asks for; what is in no list belongs to the administrator."""
    for each in functions:
        if each.contract == call.contract and each.selector == call.calldata[:4]:
            return each.role
    return Role.ADMIN


def _announced(
    settlement: Settlement, key: tuple[Hash32, int], event: Decoded, lifetime: int, at: Block, block: int
) -> Operation:
    ready = int(event.arguments["schedule"])
    if at.timestamp < ready:
        state = OperationState.WAITING
    elif at.timestamp < ready + lifetime:
        state = OperationState.READY
    else:
        state = OperationState.EXPIRED
    return Operation(
        operation_id=key[0],
        number=key[1],
        caller=Address(event.arguments["caller"]),
        call=decoded_call(settlement, Address(event.arguments["target"]), bytes(event.arguments["data"])),
        ready_at=Timestamp(ready),
        expires_at=Timestamp(ready + lifetime),
        state=state,
        block=block,
    )


def decoded_call(settlement: Settlement, to: Address, calldata: bytes) -> Call:
    """What these bytes mean at this address; a target that is none of ours keeps its selector as its name."""
    names = {address: name for name, address in settlement.deployment.addresses.items()}
    contract = names.get(to, "unknown")
    meaning = interface(contract).describe(calldata) if to in names else None
    return Call(
        to=to,
        calldata=calldata,
        meaning=meaning or Decoded(name=to_hex(calldata[:4]), arguments={}),
        contract=contract,
    )
