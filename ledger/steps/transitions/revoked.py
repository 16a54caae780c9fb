"""PROPOSED → REVOKED → FROZEN: the guardian threw the header away; the epoch is computed and sealed again.

The seal is reversed by an entry of its own. Evidence, policy and roles block stay those of the freeze; only the
attempt counts on, so both attempts remain on record.
"""

from sqlalchemy.orm import Session

from ledger.books.seal_entries import reversal_entry, seal_key
from ledger.chain.contracts.logs import ChainEvent
from ledger.db import epochs, journal
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError
from ledger.model.units import EpochNumber, Timestamp, to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transactions.publisher import drop_planned
from ledger.steps.transitions.activate import planned_activation
from ledger.steps.transitions.transition import Moved
from ledger.tree.commitments import header_hash

_REVOCABLE = frozenset({EpochState.PROPOSED, EpochState.ACTIVE, EpochState.HALTED})


def take_back(ledger: Ledger, session: Session, epoch: EpochNumber, event: ChainEvent) -> Moved | None:
    """Reverse the seal of a revoked header; an event that is booked already changes nothing.

    A revoked header that this ledger never sealed (a stolen publisher key proposed it) leaves nothing to reverse.
    """
    if epochs.state_of(session, epoch) not in _REVOCABLE:
        return None
    version = epochs.lock_epoch(session, epoch)
    revoked = event.arguments["header_hash"]
    if version.state not in _REVOCABLE or revoked != header_hash(header_of(session, epoch)):
        return None
    seal = journal.find(session, seal_key(epoch, version.attempt))
    if seal is None:
        raise InvariantError(f"epoch {epoch} is {version.state} without a seal in the journal")
    now = ledger.clock.now()
    journal.append(
        session,
        reversal_entry(
            epoch=epoch,
            attempt=version.attempt,
            sealed_hash=seal.hash,
            sealed_transfers=journal.transfers(session, seal.seq),
            reason=f"revoked on chain by transaction {to_hex(event.tx_hash)}",
            effective_at=event.block_timestamp,
        ),
        recorded_at=now,
    )
    facts = {"block": event.block_number, "transaction": to_hex(event.tx_hash), "headerHash": to_hex(revoked)}
    version = epochs.record_transition(session, version, EpochState.REVOKED, facts=facts, recorded_at=now)
    needless = planned_activation(session, epoch, version.attempt)
    drop_planned(session, needless, f"revoked by {to_hex(event.tx_hash)}", now)
    again = freeze_again(ledger, session, version, now)
    return Moved(epoch=epoch, state=EpochState.FROZEN, what=f"revoked on chain; frozen again as attempt {again}")


def freeze_again(ledger: Ledger, session: Session, version: epochs.EpochStanding, now: Timestamp) -> int:
    """REVOKED → FROZEN with the evidence, policy and roles block of the first freeze; the new attempt's number."""
    epoch = version.epoch
    roles = ledger.artefacts.read(session, epoch, version.attempt, "roles")
    again = version.attempt + 1
    ledger.artefacts.record(session, epoch, again, ledger.artefacts.write(epoch, again, "roles.json", roles), now)
    frozen = epochs.facts(session, epoch, EpochState.FROZEN)
    epochs.record_transition(session, version, EpochState.FROZEN, facts=frozen, recorded_at=now, attempt=again)
    return again
