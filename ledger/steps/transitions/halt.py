"""Any state → HALTED, and back: when a promise does not hold, an epoch stops until a person has looked."""

from ledger.books.log_entries import activation_entry_key
from ledger.db import epochs
from ledger.db.faultpoint import faultpoint
from ledger.model.epoch import EpochState
from ledger.model.errors import RefusedError
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.propose import CAME_TO_NOTHING, planned_proposal
from ledger.steps.transitions.transition import Moved, StepResult, Waiting
from ledger.steps.transitions.vanished import stands, undo_vanished


def halt(ledger: Ledger, epoch: EpochNumber, reason: str) -> StepResult:
    """Stop an epoch; `epoch resume` lets it go on from the state it was in. One that stands still already stays so."""
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch)
        if version.state is EpochState.HALTED:  # by another process; halted from HALTED it could never be resumed
            return Waiting(epoch=epoch, state=version.state, why=f"halted before: {version.reason}")
        epochs.record_transition(
            session,
            version,
            EpochState.HALTED,
            facts={"from": version.state.value},
            reason=reason,
            recorded_at=now,
        )
        faultpoint("halt.before_commit")
    faultpoint("halt.after_commit")
    return Moved(epoch=epoch, state=EpochState.HALTED, what=f"halted: {reason}")


def resume(ledger: Ledger, epoch: EpochNumber, reason: str) -> StepResult:
    """Let a halted epoch go on where it was, with the facts it had there and the person's reason on record.

    What the books hold of blocks that left the chain is taken back in the same transaction, and booked anew from where
    it is now. One whose proposal came to nothing goes on as SEALED: it is proposed anew, under another key and nonce.
    One that was final goes on as PROPOSED when its activation was taken back, here or with another epoch's resuming.
    """
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch)
        if version.state is not EpochState.HALTED:
            raise RefusedError(f"epoch {epoch} is {version.state}, not halted", hint=f"ath-ledger epoch show {epoch}")
        before = EpochState(epochs.facts(session, epoch, EpochState.HALTED)["from"])
        proposal = planned_proposal(session, epoch, version.attempt)
        if before is EpochState.PROPOSED and proposal is not None and proposal.state in CAME_TO_NOTHING:
            before = EpochState.SEALED
        undone = undo_vanished(session, ledger.domain.chain_id, reason, now)
        if before is EpochState.FINAL and not stands(session, activation_entry_key(epoch, version.attempt)):
            before = EpochState.PROPOSED  # whether it was activated elsewhere shows
        facts = epochs.facts(session, epoch, before)
        epochs.record_transition(session, version, before, facts=facts, reason=reason, recorded_at=now)
        faultpoint("resume.before_commit")
    faultpoint("resume.after_commit")
    taken_back = f", took back {undone} entries whose blocks left the chain" if undone else ""
    return Moved(epoch=epoch, state=before, what=f"resumed: {reason}{taken_back}")
