"""SEALED → PROPOSED: plan to put the header on chain. The intent and its nonce are written with the transition."""

from typing import Final

from sqlalchemy.orm import Session

from ledger.db import epochs, outbox
from ledger.db.faultpoint import faultpoint
from ledger.db.outbox_entry import OutboxEntry, OutboxState
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.transactions.publisher import plan_transition, publisher_of
from ledger.steps.transitions.transition import Moved, StepResult

CAME_TO_NOTHING: Final = frozenset({OutboxState.REVERTED, OutboxState.WITHDRAWN, OutboxState.ABANDONED})
"""States of a transaction whose effect has not happened and never will; its key and its nonce are used up."""


def propose(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """Plan the proposal of a sealed epoch. Sending it is the outbox's business."""
    settlement = ledger.settlement()
    publisher = publisher_of(ledger, settlement)
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch, expected=EpochState.SEALED)
        call = settlement.rewards_ledger.propose_epoch(header_of(session, epoch))
        key = _next_key(session, epoch, version.attempt)
        entry = plan_transition(session, settlement, publisher, version, EpochState.PROPOSED, key, call, now)
        faultpoint("propose.before_commit")
    faultpoint("propose.after_commit")
    return Moved(epoch=epoch, state=EpochState.PROPOSED, what=f"planned the proposal with nonce {entry.nonce}")


def planned_proposal(session: Session, epoch: EpochNumber, attempt: int) -> OutboxEntry | None:
    """The proposal as it was planned last; None before the first."""
    found: OutboxEntry | None = None
    retry = 0
    while (entry := outbox.find_entry(session, proposal_key(epoch, attempt, retry))) is not None:
        found, retry = entry, retry + 1
    return found


def proposal_key(epoch: EpochNumber, attempt: int, retry: int = 0) -> str:
    """The outbox key of an epoch's proposal; retries of one that came to nothing count from 1."""
    return f"epoch/{epoch}/propose/{attempt}" + (f"/{retry}" if retry else "")


def _next_key(session: Session, epoch: EpochNumber, attempt: int) -> str:
    retry = 0
    while (entry := outbox.find_entry(session, proposal_key(epoch, attempt, retry))) is not None:
        if entry.state not in CAME_TO_NOTHING:
            break
        retry += 1
    return proposal_key(epoch, attempt, retry)
