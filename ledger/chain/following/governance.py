"""What governed an epoch: its roles block, policies and verifier roles, read in one look and proved complete.

A node that answers a question for events with too few of them would freeze an epoch under the wrong policy, or let no
verifier count: so everything the follower has proved, block by block, has to be among what the node says now.
"""

from collections import Counter
from dataclasses import dataclass

from ledger.chain.deploying.deployment import Deployment
from ledger.chain.errors import LogsHiddenError
from ledger.chain.following.follower import final_events, sync
from ledger.chain.following.governed import PolicyHistory, policies, verifier_roles
from ledger.chain.node.anchor import final_anchor
from ledger.chain.node.connection import Block, Connection, Finality
from ledger.db import chain_log
from ledger.db.engine import Database
from ledger.evidence.judging.roles import RoleBook
from ledger.model.units import Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Governance:
    """What holds for an epoch from its roles block on."""

    block: Block
    """The last block before the epoch's start."""
    policies: PolicyHistory
    roles: RoleBook


def final_governance(
    database: Database, connection: Connection, deployment: Deployment, finality: Finality, start: Timestamp
) -> Governance | None:
    """What governs the epoch that begins at `start`; None while its roles block is not final.

    Raises LogsHiddenError, and what `sync` raises.
    """

    def look() -> Governance | None:
        block = final_roles_block(connection, finality, start)
        if block is None:
            return None
        with database.reading() as session:
            point = chain_log.final_point(session, connection.chain_id)
        if point is None or point.number < block.number:
            sync(database, connection, deployment.followed, finality)
        history = policies(connection, deployment, block)
        roles = verifier_roles(connection, deployment, block)
        _require_complete(database, deployment, block, history, roles)
        return Governance(block=block, policies=history, roles=roles)

    return connection.in_one_look(look, final_anchor(database, connection.chain_id))


def final_roles_block(connection: Connection, finality: Finality, start: Timestamp) -> Block | None:
    """The last block before an epoch's start once it is final, else None. Raises the chain's own errors."""
    block, final = connection.last_block_before(start), connection.final_block(finality)
    return None if block is None or final is None or final.number < block.number else block


def _require_complete(
    database: Database, deployment: Deployment, block: Block, history: PolicyHistory, roles: RoleBook
) -> None:
    contracts = deployment.followed
    events = final_events(database, deployment.chain_id, contracts, above=contracts.first_block - 1, up_to=block.number)
    known = Counter(event.name for event in events)
    said = {
        "PolicyScheduled": len(history.announced),
        "PolicyCancelled": sum(each.is_cancelled for each in history.announced),
        "VerifierSet": len(roles.roles),
    }
    for name, count in said.items():
        if count != known[name]:
            raise LogsHiddenError(
                f"up to block {block.number} the node shows {count} {name} events, {known[name]} are proved"
            )
