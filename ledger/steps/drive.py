"""Driving epochs: one step for one epoch, or every step that can be taken now. CLI, tasks and tests call these."""

from collections.abc import Iterator
from typing import Final, assert_never

from ledger.chain.errors import CallRevertedError
from ledger.db import epochs
from ledger.db.epochs import StaleStateError
from ledger.db.exclusion import HeldElsewhereError
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError, MismatchError
from ledger.model.units import EpochNumber
from ledger.steps.correcting.parent import parent_may_change
from ledger.steps.ledger import Ledger
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transitions.activate import activate, retry_refused
from ledger.steps.transitions.compute import compute
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.freeze import freeze
from ledger.steps.transitions.halt import halt
from ledger.steps.transitions.held_up import held_up
from ledger.steps.transitions.lag import require_level
from ledger.steps.transitions.premature import withdraw_premature
from ledger.steps.transitions.propose import propose
from ledger.steps.transitions.seal import seal
from ledger.steps.transitions.transition import Done, Moved, StepResult, Waiting
from ledger.telemetry.metrics import timed_step

_NAME_OF_STEP_FROM: Final = {
    EpochState.OPEN: "freeze",
    EpochState.FROZEN: "compute",
    EpochState.COMPUTED: "seal",
    EpochState.SEALED: "propose",
    EpochState.PROPOSED: "activate",
    EpochState.ACTIVE: "settle",
}


def step(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """Look at the epoch's state and perform at most one transition.

    Safe to repeat and to interrupt anywhere: what a killed step left is continued by the next call. A promise that
    does not hold halts the epoch with its reason: nothing is booked or sent until a person has looked. Where another
    process is at the same thing, that one does it.
    """
    state = state_of(ledger, epoch)
    try:
        with timed_step(_NAME_OF_STEP_FROM.get(state, "look")) as timing:
            result = _step(ledger, epoch, state)
            timing.outcome = type(result).__name__.lower()
            return result
    except (StaleStateError, HeldElsewhereError) as busy:
        why = f"another process is at it: {busy.what}"
        return Waiting(epoch=epoch, state=state_of(ledger, epoch), why=why)
    except (InvariantError, MismatchError) as broken:
        if state_of(ledger, epoch) is EpochState.HALTED:
            raise
        return halt(ledger, epoch, str(broken))


def _step(ledger: Ledger, epoch: EpochNumber, state: EpochState) -> StepResult:
    match state:
        case EpochState.OPEN:
            return freeze(ledger, epoch)
        case EpochState.FROZEN:
            return compute(ledger, epoch)
        case EpochState.COMPUTED:
            return held_up(ledger, epoch, state) or parent_may_change(ledger, epoch) or seal(ledger, epoch)
        case EpochState.SEALED:
            return held_up(ledger, epoch, state) or parent_may_change(ledger, epoch) or _propose(ledger, epoch)
        case EpochState.PROPOSED:
            return _settling(ledger, epoch) or held_up(ledger, epoch, state) or activate(ledger, epoch)
        case EpochState.ACTIVE:
            return _settling(ledger, epoch) or retry_refused(ledger, epoch)
        case EpochState.FINAL:
            return Done(epoch=epoch)
        case EpochState.HALTED | EpochState.REVOKED:
            return Waiting(epoch=epoch, state=state, why="a person has to look: ath-ledger doctor")
        case _:
            assert_never(state)


def _propose(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    if ledger.settlement().publisher is None:
        why = "this ledger only follows, and the publisher's activation is not final yet"
        return _followed(ledger, epoch) or Waiting(epoch=epoch, state=state_of(ledger, epoch), why=why)
    require_level(ledger)
    return propose(ledger, epoch)


def run(ledger: Ledger) -> Iterator[StepResult]:
    """Take every step that can be taken now, epochs in order; each transition and the reason it ended."""
    while True:
        epoch = next_epoch(ledger)
        result = step(ledger, epoch)
        yield result
        if not isinstance(result, Moved):
            return


def next_epoch(ledger: Ledger) -> EpochNumber:
    """The first epoch that is not final."""
    with ledger.database.reading() as session:
        return epochs.first_unfinished(session)


def state_of(ledger: Ledger, epoch: EpochNumber) -> EpochState:
    """The epoch's state; an epoch is OPEN from the first time it is named."""
    with ledger.database.transaction() as session:
        return epochs.open_epoch(session, epoch, recorded_at=ledger.clock.now()).state


def _settling(ledger: Ledger, epoch: EpochNumber) -> StepResult | None:
    """Book what is final, send what is planned, and look again; the epoch's own move, if that made one.

    Following comes first: what others did (anybody may activate) can make a planned call needless, and a call the
    contract refuses must not keep the ledger from learning why.
    """
    moved = _followed(ledger, epoch)
    require_level(ledger)
    try:
        send_planned(ledger)
    except CallRevertedError as refusal:
        why = f"the contract refuses what is planned until what it knows is final here: {refusal.what}"
        if withdraw_premature(ledger, epoch, refusal.what):
            why = f"the next epoch's proposal is withdrawn, for this one has to be activated before it: {refusal.what}"
        return moved or _followed(ledger, epoch) or Waiting(epoch=epoch, state=state_of(ledger, epoch), why=why)
    return moved or _followed(ledger, epoch)


def _followed(ledger: Ledger, epoch: EpochNumber) -> StepResult | None:
    return next((moved for moved in follow(ledger) if moved.epoch == epoch), None)
