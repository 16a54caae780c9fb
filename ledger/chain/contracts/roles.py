"""Who may do what, and how late: the roles of contracts/roles.json, as wanted and as the chain has them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Any

from ledger.chain.contracts.artefacts import ACCESS_MANAGER, interface
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.node.connection import Block, Connection
from ledger.chain.node.logs import fetch_logs
from ledger.model.units import Address


class Role(IntEnum):
    """The AccessManager's role ids."""

    ADMIN = 0
    PUBLISHER = 1
    GUARDIAN = 2
    GOVERNOR = 3
    RETIRER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedFunction:
    """A function and the role it asks for."""

    contract: str
    name: str
    selector: bytes
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An account in a role, and how long it must announce what it does there."""

    role: Role
    account: Address
    delay_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesReport:
    """What the chain says at one block, beside what this version expects."""

    block: int
    holders: tuple[Holder, ...]
    functions: tuple[GuardedFunction, ...]
    """Each function with the role the chain asks for."""
    deviations: tuple[str, ...]
    """Functions whose role is not the expected one; empty is good."""


@cache
def guarded_functions() -> tuple[GuardedFunction, ...]:
    """Every restricted function of our contracts with its intended role."""
    text = (files("ledger.data") / "contracts" / "roles.json").read_text(encoding="utf-8")
    document: Mapping[str, Any] = json.loads(text)
    return tuple(
        GuardedFunction(
            contract=contract,
            name=entry["name"],
            selector=bytes.fromhex(entry["selector"][2:]),
            role=Role[entry["role"]],
        )
        for contract, entries in document["functions"].items()
        for entry in entries
    )


def selectors_of(contract: str, role: Role) -> list[bytes]:
    """The functions of a contract that a role may call."""
    return [each.selector for each in guarded_functions() if each.contract == contract and each.role is role]


def roles_report(connection: Connection, deployment: Deployment, at: Block) -> RolesReport:
    """Who holds which role at a block, with which delay, and which role each function asks for.

    Accounts are found in the AccessManager's own logs, their standing is read from its state.
    """
    manager = deployment.access_manager(connection)
    functions: list[GuardedFunction] = []
    deviations: list[str] = []
    for wanted in guarded_functions():
        found = manager.function_role(deployment.addresses[wanted.contract], wanted.selector, at.hash)
        known = found in set(Role)
        if not known or Role(found) is not wanted.role:
            shown = Role(found).name if known else f"role {found}"
            deviations.append(f"{wanted.contract}.{wanted.name} asks for {shown}, expected {wanted.role.name}")
        if known:
            functions.append(
                GuardedFunction(contract=wanted.contract, name=wanted.name, selector=wanted.selector, role=Role(found))
            )
    holders = [
        Holder(role=role, account=account, delay_seconds=access.delay_seconds)
        for role, account in _ever_granted(connection, deployment, at)
        if (access := manager.access(role, account, at.hash)).is_member
    ]
    return RolesReport(
        block=at.number, holders=tuple(holders), functions=tuple(functions), deviations=tuple(deviations)
    )


def _ever_granted(connection: Connection, deployment: Deployment, at: Block) -> Sequence[tuple[Role, Address]]:
    manager = interface(ACCESS_MANAGER)
    logs = fetch_logs(
        connection,
        [deployment.addresses[ACCESS_MANAGER]],
        deployment.first_block,
        at.number,
        [manager.events["RoleGranted"]],
    )
    granted: set[tuple[Role, Address]] = set()
    for log in logs:
        event = manager.event(log.topics, log.data)
        if event is not None and event.arguments["role_id"] in set(Role):
            granted.add((Role(event.arguments["role_id"]), Address(event.arguments["account"])))
    return sorted(granted)
