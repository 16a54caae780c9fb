"""PROPOSED → ACTIVE: once the proposal is final and its window has passed, plan the activation.

An activation that was mined and refused (claims were paused meanwhile, a reorganisation put it before the window's
end) has used up its nonce and moved nothing: the epoch goes back to PROPOSED and is activated anew, under the next key.
"""

from sqlalchemy.orm import Session

from ledger.db import epochs, outbox
from ledger.db.faultpoint import faultpoint
from ledger.db.outbox_entry import OutboxEntry, OutboxState
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transactions.publisher import plan_transition, publisher_of
from ledger.steps.transitions.halt import halt
from ledger.steps.transitions.propose import CAME_TO_NOTHING, planned_proposal
from ledger.steps.transitions.transition import Moved, StepResult, Waiting


def activate(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """Plan the activation of a proposed epoch; wait while the window is open; halt if the proposal was refused."""
    settlement = ledger.settlement()
    with ledger.database.reading() as session:
        attempt = epochs.current(session, epoch).attempt
        if "adopted" in epochs.facts(session, epoch, EpochState.PROPOSED):
            proposal = None  # sent before these books were restored; it was final when they took it over
        else:
            proposal = planned_proposal(session, epoch, attempt)
    if proposal is not None and proposal.state in CAME_TO_NOTHING:
        return halt(ledger, epoch, f"the proposal is {proposal.state}" + (proposal.detail and f": {proposal.detail}"))
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
        key = _next_key(session, epoch, version.attempt)
        entry = plan_transition(session, settlement, publisher, version, EpochState.ACTIVE, key, call, now)
        faultpoint("activate.before_commit")
    faultpoint("activate.after_commit")
    return Moved(epoch=epoch, state=EpochState.ACTIVE, what=f"planned the activation with nonce {entry.nonce}")


def retry_refused(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """ACTIVE → PROPOSED when the activation is final and was refused; else the epoch waits for its finality."""
    waiting = Waiting(epoch=epoch, state=EpochState.ACTIVE, why="the activation is not final yet")
    if not _is_refused(ledger, epoch):
        return waiting
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch, expected=EpochState.ACTIVE)
        refused = planned_activation(session, epoch, version.attempt)
        if refused is None or refused.state not in CAME_TO_NOTHING:  # a reorganisation reopened it meanwhile
            return waiting
        reason = f"the activation with nonce {refused.nonce} was mined and refused; it is planned anew"
        facts = epochs.facts(session, epoch, EpochState.PROPOSED)
        epochs.record_transition(session, version, EpochState.PROPOSED, facts=facts, reason=reason, recorded_at=now)
        faultpoint("activate.refused.before_commit")
    faultpoint("activate.refused.after_commit")
    return Moved(epoch=epoch, state=EpochState.PROPOSED, what=reason)


def planned_activation(session: Session, epoch: EpochNumber, attempt: int) -> OutboxEntry | None:
    """The activation as it was planned last; None before the first."""
    found: OutboxEntry | None = None
    retry = 0
    while (entry := outbox.find_entry(session, activation_key(epoch, attempt, retry))) is not None:
        found, retry = entry, retry + 1
    return found


def activation_key(epoch: EpochNumber, attempt: int, retry: int = 0) -> str:
    """The outbox key of an epoch's activation; retries of a refused one count from 1."""
    return f"epoch/{epoch}/activate/{attempt}" + (f"/{retry}" if retry else "")


def _next_key(session: Session, epoch: EpochNumber, attempt: int) -> str:
    retry = 0
    while (entry := outbox.find_entry(session, activation_key(epoch, attempt, retry))) is not None:
        if entry.state not in CAME_TO_NOTHING:
            break
        retry += 1
    return activation_key(epoch, attempt, retry)


def _is_refused(ledger: Ledger, epoch: EpochNumber) -> bool:
    with ledger.database.reading() as session:
        entry = planned_activation(session, epoch, epochs.current(session, epoch).attempt)
    return entry is not None and entry.state in CAME_TO_NOTHING
