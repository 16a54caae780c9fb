"""How far the books have followed the chain, and every transaction of ours, from the database alone."""

from typing import TYPE_CHECKING, Any

from ledger.db import chain_log, outbox
from ledger.db.outbox_entry import OutboxEntry
from ledger.model.units import to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.transition import utc
from ledger.tree.keccak import checksum_address

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment


def chain_standing(ledger: Ledger, deployment: "Deployment") -> dict[str, Any]:
    """The chain and contracts, the last final block followed and the head it was seen from, reorgs, outbox states."""
    with ledger.database.reading() as session:
        chain_id = ledger.domain.chain_id
        final = chain_log.final_point(session, chain_id)
        reorgs = chain_log.reorgs(session, chain_id)
        entries = outbox.entries(session, chain_id)
    states: dict[str, int] = {}
    for entry in entries:
        states[entry.state.value] = states.get(entry.state.value, 0) + 1
    return {
        "chain_id": chain_id,
        "genesis_hash": to_hex(deployment.genesis_hash),
        "contracts": {name: checksum_address(address) for name, address in sorted(deployment.addresses.items())},
        "finality_depth": deployment.finality_depth,
        "ledger_genesis": utc(deployment.genesis),
        "epoch_seconds": deployment.epoch_length,
        "window_seconds": deployment.window,
        "final_block": None if final is None else final.number,
        "final_hash": None if final is None else to_hex(final.hash),
        "final_at": None if final is None else utc(final.timestamp),
        "head_block": None if final is None else final.head_number,
        "reorgs": len(reorgs),
        "reorgs_below_final": sum(each.breaks_finality for each in reorgs),
        "transactions": dict(sorted(states.items())),
    }


def transaction_rows(ledger: Ledger) -> list[dict[str, Any]]:
    """Every transaction the outbox planned, by sender and nonce."""
    with ledger.database.reading() as session:
        entries = outbox.entries(session, ledger.domain.chain_id)
    return [_row(entry) for entry in entries]


def _row(entry: OutboxEntry) -> dict[str, Any]:
    return {
        "sender": checksum_address(entry.sender),
        "nonce": entry.nonce,
        "key": entry.key,
        "to": checksum_address(entry.recipient),
        "state": entry.state.value,
        "transaction": None if entry.tx_hash is None else to_hex(entry.tx_hash),
        "block": entry.block_number,
        "detail": entry.detail,
    }
