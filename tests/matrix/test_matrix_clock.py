"""The machine's clock jumps ahead or back: bumps stay bounded, cut-offs are judged as before, nothing is sent twice."""

from collections.abc import Callable

import pytest
from matrix.stage import EPOCH, K, Outcome, Stage

from ledger.chain.sending.fees import FeePolicy
from ledger.db import outbox
from ledger.model.epoch import EpochState
from ledger.model.units import Timestamp
from ledger.steps.drive import step
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transitions.transition import Waiting

DAY = 86_400
JUMPS = [
    pytest.param(DAY, id="a-day-ahead", marks=[pytest.mark.row("clock jumps forwards"), pytest.mark.slow]),
    pytest.param(400 * DAY, id="a-year-ahead", marks=[pytest.mark.row("clock jumps forwards"), pytest.mark.slow]),
    pytest.param(-DAY, id="a-day-back", marks=pytest.mark.row("clock jumps backwards")),
    pytest.param(-400 * DAY, id="a-year-back", marks=[pytest.mark.row("clock jumps backwards"), pytest.mark.slow]),
]


class WildClock:
    """The chain's time, and how far the machine is off."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.off = 0

    def now(self) -> Timestamp:
        return Timestamp(max(0, self._stage.direct.head().timestamp + self.off))


@pytest.fixture
def wild(stage: Stage) -> WildClock:
    clock = WildClock(stage)
    stage.ledger.clock = clock
    return clock


def attempts(stage: Stage, what: str) -> int:
    with stage.ledger.database.reading() as session:
        return len(outbox.attempts(session, stage.entry(what)))


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_while_a_transaction_is_pending(stage: Stage, wild: WildClock, undisturbed: Outcome, jump: int) -> None:
    """The clock jumps and jumps back twenty times while a proposal is pending: at most as many bumps as are allowed."""
    stage.settle(EpochState.PROPOSED)
    stage.direct.rpc("evm_setAutomine", False)
    for at in range(20):
        wild.off = jump if at % 2 else 0
        send_planned(stage.ledger)
    made = attempts(stage, "propose")
    assert made <= FeePolicy().max_attempts
    wild.off = 0
    stage.direct.rpc("evm_setAutomine", True)
    stage.time.mine()
    assert stage.play() == undisturbed


@pytest.mark.row("clock jumps backwards")
def test_a_stamp_of_the_future_holds_up_no_bump(stage: Stage, wild: WildClock, undisturbed: Outcome) -> None:
    """Signed by a clock a year ahead that was put right since, a stuck transaction is bumped all the same."""
    stage.settle(EpochState.PROPOSED)
    stage.direct.rpc("evm_setAutomine", False)
    wild.off = 400 * DAY
    send_planned(stage.ledger)
    wild.off = 0
    for _ in range(3):
        send_planned(stage.ledger)
    assert attempts(stage, "propose") == 2, "once for the wrong stamp, and then the right one counts"
    stage.direct.rpc("evm_setAutomine", True)
    stage.time.mine()
    assert stage.play() == undisturbed


@pytest.mark.row("clock jumps forwards")
@pytest.mark.row("clock jumps backwards")
def test_a_jump_at_every_look(stage: Stage, wild: WildClock, undisturbed: Outcome) -> None:
    """At every look the clock is somewhere else, up to a year ahead or back, from the freeze to the last claim."""
    offsets = iter([0, 400 * DAY, -400 * DAY, 60, -60, DAY, -DAY] * 100)

    def jump() -> None:
        wild.off = next(offsets)

    stage.settle(between=jump)
    wild.off = -DAY
    assert stage.play() == undisturbed


@pytest.mark.row("clock jumps forwards")
def test_an_epoch_does_not_freeze_before_the_chain_is_past_its_cut_off(
    stage_with: Callable[..., Stage], undisturbed: Outcome
) -> None:
    """A clock that is days ahead does not close an epoch while, by the chain's time, evidence may still arrive."""
    stage = stage_with(before_cut_off=True)
    clock = WildClock(stage)
    stage.ledger.clock = clock
    clock.off = 3 * DAY
    for _ in range(3):
        result = step(stage.ledger, EPOCH)
        assert isinstance(result, Waiting), result
        assert stage.state() is EpochState.OPEN
        stage.time.mine()
    clock.off = 0
    stage.time.jump_to(Timestamp(stage.ledger.calendar.cut_off(EPOCH) + 1))
    stage.time.mine(K)
    assert stage.play() == undisturbed
