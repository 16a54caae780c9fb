"""What governance has announced on chain, as the follower has it: policies and roles, without asking a node."""

from typing import TYPE_CHECKING

from ledger.chain.contracts.artefacts import POLICY_REGISTRY, interface
from ledger.chain.contracts.logs import ChainEvent, decode_events
from ledger.chain.following.governed import PolicyHistory, ScheduledPolicy, policy_from, role_from
from ledger.db import chain_log
from ledger.evidence.judging.roles import RoleBook
from ledger.model.units import EpochNumber, Hash32
from ledger.steps.ledger import Ledger

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment


def announced_policies(ledger: Ledger, deployment: "Deployment") -> PolicyHistory:
    """Every policy announced up to the last final block, in the order of the announcements."""
    announced: dict[int, ScheduledPolicy] = {}
    for event in _registry_events(ledger, deployment):
        match event.name:
            case "PolicyScheduled":
                version = int(event.arguments["version"])
                announced[version] = ScheduledPolicy(
                    version=version,
                    effective_epoch=EpochNumber(event.arguments["effective_epoch"]),
                    policy_hash=Hash32(event.arguments["hash"]),
                    policy=policy_from(event.arguments["policy"]),
                    scheduled_block=event.block_number,
                    log_index=event.log_index,
                    is_cancelled=False,
                )
            case "PolicyCancelled":
                version = int(event.arguments["version"])
                announced[version] = announced[version].cancelled()
    return PolicyHistory(announced=tuple(announced.values()))


def announced_roles(ledger: Ledger, deployment: "Deployment") -> RoleBook:
    """Every verifier role set up to the last final block, numbered from 0."""
    events = [event for event in _registry_events(ledger, deployment) if event.name == "VerifierSet"]
    return RoleBook(role_from(order, event.arguments) for order, event in enumerate(events))


def _registry_events(ledger: Ledger, deployment: "Deployment") -> list[ChainEvent]:
    address = deployment.addresses[POLICY_REGISTRY]
    chain_id = ledger.domain.chain_id
    with ledger.database.reading() as session:
        final = chain_log.final_point(session, chain_id)
        if final is None:
            return []
        logs = chain_log.canonical_logs(session, chain_id, -1, final.number, address=address)
    return list(decode_events(chain_id, {address: interface(POLICY_REGISTRY)}, logs))
