"""What governance decided, read from the registry's logs up to one block: policies and verifier roles.

An epoch's policy and roles are those at its roles block, so every function takes the block and checks
that the chain still has it after reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledger.chain.contracts.artefacts import POLICY_REGISTRY, interface
from ledger.chain.contracts.interface import Decoded
from ledger.chain.contracts.logs import FoundLog, fetch_logs
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.errors import ChainMovedError
from ledger.chain.node.connection import Block, Connection
from ledger.evidence.judging.roles import RoleBook, VerifierRole
from ledger.model.errors import MismatchError, NotFoundError
from ledger.model.policy import Policy
from ledger.model.units import EpochNumber, Hash32, to_hex
from ledger.tree.commitments import policy_hash


class NoPolicyError(NotFoundError):
    """No policy governs the epoch."""

    code = "policy.none"
    default_hint = "ath-ledger gov show"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledPolicy:
    """A policy as announced; once cancelled it governs nothing."""

    version: int
    effective_epoch: EpochNumber
    policy_hash: Hash32
    policy: Policy
    scheduled_block: int
    log_index: int
    is_cancelled: bool

    def cancelled(self) -> "ScheduledPolicy":
        """The same, taken back before it governed."""
        return replace(self, is_cancelled=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyHistory:
    """Every policy ever announced up to a block, in the order of the announcements."""

    announced: tuple[ScheduledPolicy, ...]

    @property
    def standing(self) -> tuple[ScheduledPolicy, ...]:
        """Those not cancelled, by effective epoch."""
        return tuple(
            sorted((each for each in self.announced if not each.is_cancelled), key=lambda each: each.effective_epoch)
        )

    def policy_for_epoch(self, epoch: EpochNumber) -> ScheduledPolicy:
        """The policy that governs an epoch. Raises NoPolicyError."""
        found = [each for each in self.standing if each.effective_epoch <= epoch]
        if not found:
            raise NoPolicyError(f"no policy governs epoch {epoch}")
        return found[-1]


def policies(connection: Connection, deployment: Deployment, at: Block) -> PolicyHistory:
    """All policies announced up to a block.

    Raises MismatchError when a policy does not have the hash it was announced with, ChainMovedError when
    the block is no longer on the chain.
    """
    announced: dict[int, ScheduledPolicy] = {}
    for log, event in _registry_events(connection, deployment, at, ("PolicyScheduled", "PolicyCancelled")):
        version = int(event.arguments["version"])
        if event.name == "PolicyScheduled":
            announced[version] = _scheduled(log, event)
        else:
            announced[version] = announced[version].cancelled()
    return PolicyHistory(announced=tuple(announced.values()))


def verifier_roles(connection: Connection, deployment: Deployment, at: Block) -> RoleBook:
    """All verifier roles set up to a block, numbered from 0 in the order of their logs."""
    events = _registry_events(connection, deployment, at, ("VerifierSet",))
    return RoleBook(_role(order, event) for order, (_, event) in enumerate(events))


def policy_from(arguments: Mapping[str, Any]) -> Policy:
    """A contract's `Policy` struct, decoded by name, as the ledger's own."""
    return Policy(**arguments)


def role_from(order: int, arguments: Mapping[str, Any]) -> VerifierRole:
    """A `VerifierSet` event's arguments as a role."""
    return VerifierRole(order=order, **arguments)


def _scheduled(log: FoundLog, event: Decoded) -> ScheduledPolicy:
    policy = policy_from(event.arguments["policy"])
    announced = Hash32(event.arguments["hash"])
    if policy_hash(policy) != announced:
        raise MismatchError(
            f"policy {event.arguments['version']} hashes to {to_hex(policy_hash(policy))}, "
            f"announced as {to_hex(announced)}"
        )
    return ScheduledPolicy(
        version=int(event.arguments["version"]),
        effective_epoch=EpochNumber(event.arguments["effective_epoch"]),
        policy_hash=announced,
        policy=policy,
        scheduled_block=log.block_number,
        log_index=log.log_index,
        is_cancelled=False,
    )


def _role(order: int, event: Decoded) -> VerifierRole:
    return role_from(order, event.arguments)


def _registry_events(
    connection: Connection, deployment: Deployment, at: Block, names: Sequence[str]
) -> list[tuple[FoundLog, Decoded]]:
    registry = interface(POLICY_REGISTRY)
    topics = [registry.events[name] for name in names]
    address = deployment.addresses[POLICY_REGISTRY]
    logs = fetch_logs(connection, [address], deployment.first_block, at.number, topics)
    if connection.block(at.number).hash != at.hash:
        raise ChainMovedError(f"block {at.number} left the chain while its policies and roles were read")
    decoded = ((log, registry.event(log.topics, log.data)) for log in logs)
    return [(log, event) for log, event in decoded if event is not None]
