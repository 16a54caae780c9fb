"""PROPOSED → ACTIVE: once the proposal is final and its window has passed, plan the activation."""

from ledger.db import epochs, outbox
from ledger.db.faultpoint import faultpoint
from ledger.db.outbox import OutboxState
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.halt import halt
from ledger.steps.ledger import Ledger
from ledger.steps.propose import proposal_key
from ledger.steps.publisher import plan_transition, publisher_of
from ledger.steps.seal import header_of
from ledger.steps.transition import Moved, StepResult, Waiting


def activate(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """Plan the activation of a proposed epoch; wait while the window is open; halt if the proposal was refused."""
    settlement = ledger.settlement()
    with ledger.database.reading() as session:
        attempt = epochs.current(session, epoch).attempt
        if "adopted" in epochs.facts(session, epoch, EpochState.PROPOSED):
            proposal = None  # sent before these books were restored; it was final when they took it over
        else:
            proposal = outbox.entry(session, proposal_key(epoch, attempt))
    if proposal is not None and proposal.state in {OutboxState.REVERTED, OutboxState.WITHDRAWN, OutboxState.ABANDONED}:
        return halt(ledger, epoch, f"the proposal is {proposal.state}: {proposal.detail}")
    if proposal is not None and proposal.state is not OutboxState.FINAL:
        why = f"the proposal is {proposal.state}, not final yet"
        return Waiting(epoch=epoch, state=EpochState.PROPOSED, why=why)
    pending = settlement.rewards_ledger.pending("latest")
    now = ledger.clock.now()
    if pending is None:
        # revoked, or activated by somebody else, in a block that is not final: the follower will say which
        why = "the proposal is no longer pending; what became of it is not final yet"
        return Waiting(epoch=epoch, state=EpochState.PROPOSED, why=why)
    if now < pending.activates_at:
        why = "the challenge window is open"
        return Waiting(epoch=epoch, state=EpochState.PROPOSED, why=why, until=pending.activates_at)
    publisher = publisher_of(ledger, settlement)
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch, expected=EpochState.PROPOSED)
        call = settlement.rewards_ledger.activate_epoch(header_of(session, epoch))
        key = activation_key(epoch, version.attempt)
        entry = plan_transition(session, settlement, publisher, version, EpochState.ACTIVE, key, call, now)
        faultpoint("activate.before_commit")
    faultpoint("activate.after_commit")
    return Moved(epoch=epoch, state=EpochState.ACTIVE, what=f"planned the activation with nonce {entry.nonce}")


def activation_key(epoch: EpochNumber, attempt: int) -> str:
    """The outbox key of an epoch's activation."""
    return f"epoch/{epoch}/activate/{attempt}"
