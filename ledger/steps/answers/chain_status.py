"""What the contracts hold and wait for, at the chain's head."""

from typing import Any, Final

from ledger.chain.contracts.artefacts import CARBON_VAULT, REWARDS_LEDGER
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.node.connection import Connection
from ledger.model.units import to_hex

_NEVER_USED_UP: Final = 2**96
"""No token a ledger pays in has a supply beyond it."""


def chain_status(connection: Connection, deployment: Deployment) -> dict[str, Any]:
    """Finality, the epoch to come, the pending proposal, and every balance that matters, at one block."""
    at = connection.head()
    final = connection.final_block(deployment.finality)
    ledger, token = deployment.rewards_ledger(connection), deployment.token(connection)
    pending = ledger.pending(at.hash)
    allowance = token.allowance_wei(deployment.treasury, deployment.addresses[REWARDS_LEDGER], at.hash)
    running = deployment.calendar.epoch_at(at.timestamp)
    rewards = deployment.addresses[REWARDS_LEDGER]
    return {
        "final_block": final.number if final else None,
        "running_epoch": running if running >= 0 else None,
        "genesis": deployment.genesis,
        "next_epoch": ledger.next_epoch(at.hash),
        "pending_header": to_hex(pending.header_hash) if pending else None,
        "activates_at": pending.activates_at if pending else None,
        "proposals_open": ledger.proposals_open(at.hash),
        "claims_paused": ledger.is_paused(at.hash),
        "rollover_wei": ledger.rollover_wei(at.hash),
        "claimable_balance_wei": token.balance_wei(rewards, at.hash),
        "vault_balance_wei": token.balance_wei(deployment.addresses[CARBON_VAULT], at.hash),
        "reserve_balance_wei": token.balance_wei(deployment.reserve, at.hash),
        "treasury_balance_wei": token.balance_wei(deployment.treasury, at.hash),
        "treasury_allowance_wei": "unlimited" if allowance > _NEVER_USED_UP else allowance,
    }
