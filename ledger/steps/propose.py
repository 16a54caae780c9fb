"""SEALED → PROPOSED: plan to put the header on chain. The intent and its nonce are written with the transition."""

from ledger.db import epochs
from ledger.db.faultpoint import faultpoint
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.publisher import plan_transition, publisher_of
from ledger.steps.seal import header_of
from ledger.steps.transition import Moved, StepResult


def propose(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """Plan the proposal of a sealed epoch. Sending it is the outbox's business."""
    settlement = ledger.settlement()
    publisher = publisher_of(ledger, settlement)
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch, expected=EpochState.SEALED)
        call = settlement.rewards_ledger.propose_epoch(header_of(session, epoch))
        key = proposal_key(epoch, version.attempt)
        entry = plan_transition(session, settlement, publisher, version, EpochState.PROPOSED, key, call, now)
        faultpoint("propose.before_commit")
    faultpoint("propose.after_commit")
    return Moved(epoch=epoch, state=EpochState.PROPOSED, what=f"planned the proposal with nonce {entry.nonce}")


def proposal_key(epoch: EpochNumber, attempt: int) -> str:
    """The outbox key of an epoch's proposal."""
    return f"epoch/{epoch}/propose/{attempt}"
