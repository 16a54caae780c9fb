"""Who may do what, and how late, as the chain has it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.chain.contracts.artefacts import ACCESS_MANAGER, interface
from ledger.chain.contracts.logs import fetch_logs
from ledger.chain.contracts.roles import GuardedFunction, Holder, Role, guarded_functions
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.node.connection import Block, Connection
from ledger.model.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesReport:
    """What the chain says at one block, beside what this version expects."""

    block: int
    holders: tuple[Holder, ...]
    functions: tuple[GuardedFunction, ...]
    """Each function with the role the chain asks for."""
    deviations: tuple[str, ...]
    """Functions whose role is not the expected one; empty is good."""


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
