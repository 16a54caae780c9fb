"""Celery rings, the database decides: duplicated, stale and lost messages change nothing."""

import threading
from collections.abc import Iterator

import pytest

from ledger.chain.local.demo_time import DemoTime
from ledger.db import epochs
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError
from ledger.model.units import EpochNumber, Timestamp
from ledger.rehearsal import Rehearsal
from ledger.steps import drive
from ledger.steps.drive import state_of
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.transition import Moved, StepResult, Waiting
from ledger.tasks.app import celery_app
from ledger.tasks.bell import ADVANCE, advance_once, ring
from ledger.tasks.embedded import EmbeddedWorker
from ledger.tasks.work import Heard, register

EPOCH = EpochNumber(0)


@pytest.fixture
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("bell") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


@pytest.fixture
def attested(rehearsal: Rehearsal) -> Iterator[Ledger]:
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    DemoTime(ledger.settlement().connection).jump_to(Timestamp(ledger.calendar.cut_off(EPOCH) + 60))
    yield ledger
    ledger.close()


def test_a_worker_in_process_takes_an_epoch_from_cut_off_to_final(attested: Ledger) -> None:
    heard: list[Heard] = []
    waiting = threading.Event()

    def told(result: Heard) -> None:
        heard.append(result)
        if not isinstance(result, Moved):
            waiting.set()

    app = celery_app("memory://")
    register(app, lambda: attested, told)
    with EmbeddedWorker(app):
        for _ in range(8):
            waiting.clear()
            ring(app, attested)
            ring(app, attested)  # delivered twice
            app.send_task(ADVANCE, args=[EPOCH, 1])  # stale from the second round on
            assert waiting.wait(30)
            if state_of(attested, EPOCH) is EpochState.FINAL:
                break
            last = heard[-1]
            if isinstance(last, Waiting) and last.until is not None:
                _jump(attested, last.until)
            DemoTime(attested.settlement().connection).mine()

    moved = [result.state for result in heard if isinstance(result, Moved)]
    assert moved == [
        EpochState.FROZEN,
        EpochState.COMPUTED,
        EpochState.SEALED,
        EpochState.PROPOSED,
        EpochState.ACTIVE,
        EpochState.FINAL,
    ]


def test_a_stale_message_is_dropped(attested: Ledger) -> None:
    assert state_of(attested, EPOCH) is EpochState.OPEN
    assert isinstance(advance_once(attested, EPOCH, 1), Moved)
    assert advance_once(attested, EPOCH, 1) is None


def test_a_broken_promise_halts_the_epoch_with_its_reason(attested: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    state_of(attested, EPOCH)

    def broken(*_: object) -> StepResult:
        raise InvariantError("the budget leaks one wei")

    monkeypatch.setattr(drive, "freeze", broken)
    halted = advance_once(attested, EPOCH, 1)
    assert isinstance(halted, Moved)
    with attested.database.reading() as session:
        standing = epochs.current(session, EPOCH)
    assert standing.state is EpochState.HALTED
    assert "the budget leaks one wei" in standing.reason


def _jump(ledger: Ledger, until: int) -> None:
    if ledger.clock.now() < until < ledger.calendar.cut_off(EpochNumber(1)):
        DemoTime(ledger.settlement().connection).jump_to(Timestamp(until))
