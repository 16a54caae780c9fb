"""A worker's tasks: what no bell was heard of is found by the sweep, and nothing that fails ends the worker."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from celery import Celery

from ledger.chain.errors import ChainUnreachableError
from ledger.db import epochs
from ledger.db.epochs import StaleStateError
from ledger.db.exclusion import exclusively
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.storage.batch_files import write_batch
from ledger.model.epoch import EpochState
from ledger.model.errors import LedgerError, UsageError
from ledger.model.units import EpochNumber, Hash32
from ledger.rehearsal import Rehearsal
from ledger.steps.drive import state_of, step
from ledger.steps.intake.inbox import SubmissionState, receive, submission
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.transition import Waiting
from ledger.tasks import bell, work
from ledger.tasks.app import celery_app
from ledger.tasks.embedded import EmbeddedWorker
from ledger.tasks.processes import NoBrokerError, app_of
from ledger.tasks.sweeping import SweepTimer
from ledger.tasks.work import Heard, register
from ledger.workspace import Workspace

EPOCH = EpochNumber(0)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("work") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


@pytest.fixture(scope="module")
def ledger(rehearsal: Rehearsal) -> Iterator[Ledger]:
    opened = rehearsal.deploy(lambda _: None)
    rehearsal.register(opened)
    yield opened
    opened.close()


class Ear:
    """Hears what came of tasks, and waits for something."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._rung = Event()

    def __call__(self, heard: Heard) -> None:
        self.heard.append(heard)
        self._rung.set()

    def wait(self, condition: Callable[[Heard], bool]) -> Heard:
        while True:
            found = [each for each in list(self.heard) if condition(each)]
            if found:
                return found[0]
            assert self._rung.wait(30), self.heard
            self._rung.clear()


def test_a_submission_whose_bell_was_lost_is_judged_by_the_sweep(rehearsal: Rehearsal, ledger: Ledger) -> None:
    batch = next(iter(rehearsal.network.batches(EPOCH, ledger.domain)))
    received = receive(ledger, write_batch(batch, ledger.domain))
    app, ear = celery_app("memory://"), Ear()
    register(app, lambda: ledger, ear)
    with EmbeddedWorker(app), SweepTimer(app, 600):
        ear.wait(lambda heard: isinstance(heard, type(received)))
    assert submission(ledger, received.digest).state is SubmissionState.REFUSED  # a day too early
    assert submission(ledger, received.digest).code == "batch.early"


def test_the_sweep_rings_again_for_what_a_failure_stopped(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([ChainUnreachableError("no answer"), StaleStateError("moved"), ValueError("a defect")])

    def troubled(*_: object) -> object:
        error = next(failures, None)
        if error is not None:
            raise error
        return Waiting(epoch=EPOCH, state=EpochState.OPEN, why="all is well")

    monkeypatch.setattr(bell, "advance_once", troubled)
    app, ear = celery_app("memory://"), Ear()
    register(app, lambda: ledger, ear)
    with EmbeddedWorker(app), SweepTimer(app, 0.2):
        ear.wait(lambda heard: isinstance(heard, Waiting) and heard.why == "all is well")
    errors = [heard for heard in ear.heard if isinstance(heard, LedgerError)]
    assert [error.code for error in errors] == ["chain.unreachable"]


def test_where_another_process_is_at_it_nothing_fails_and_nothing_halts(ledger: Ledger) -> None:
    with exclusively(ledger.database, f"compute/{EPOCH}"), exclusively(ledger.database, "follower/31337"):
        app, ear = celery_app("memory://"), Ear()
        register(app, lambda: ledger, ear)
        for body in (bell.FOLLOW, bell.SWEEP):
            app.tasks[body]()
        assert not [heard for heard in ear.heard if isinstance(heard, LedgerError)]
    assert state_of(ledger, EPOCH) is not EpochState.HALTED
    assert isinstance(step(ledger, EPOCH), Waiting)


def test_a_bell_that_cannot_be_sent_is_lost_and_nothing_else() -> None:
    away = celery_app("redis://127.0.0.1:1/0")
    bell.ring_submission(away, Hash32(bytes(32)))


def test_a_sweep_that_is_too_late_for_its_time_is_dropped(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, object]] = []
    app = Celery("nobody")
    monkeypatch.setattr(app, "send_task", lambda name, **options: sent.append({"name": name, **options}))
    with SweepTimer(app, 30):
        pass
    assert [(each["name"], each["expires"]) for each in sent] == [(bell.SWEEP, 60)]


def test_every_bell_has_its_task(ledger: Ledger) -> None:
    app = celery_app("memory://")
    register(app, lambda: ledger, lambda _: None)
    rung = {value for name, value in vars(bell).items() if name.isupper() and isinstance(value, str)}
    assert rung == {name for name in app.tasks if name.startswith("ledger.")}
    assert work.SWEPT_AT_ONCE > 0


def test_messages_are_bells_and_survive_their_worker() -> None:
    app = celery_app("redis://nowhere", task_seconds=60, redelivery_seconds=120)
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1
    assert (app.conf.task_serializer, app.conf.accept_content) == ("json", ["json"])
    assert app.conf.task_ignore_result
    assert app.conf.task_time_limit < app.conf.broker_transport_options["visibility_timeout"]


def test_a_worker_wants_a_broker_and_time_limits_that_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Workspace.create(tmp_path / "ledger", {})
    with pytest.raises(NoBrokerError):
        app_of(place)
    monkeypatch.setenv("ATH_LEDGER_CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    app_of(Workspace.at(place.root))
    monkeypatch.setenv("ATH_LEDGER_REDELIVERY_SECONDS", "600")
    with pytest.raises(UsageError, match="not longer than task_seconds"):
        app_of(Workspace.at(place.root))


def test_no_epoch_was_moved_by_any_of_this(ledger: Ledger) -> None:
    with ledger.database.reading() as session:
        assert [event.state for event in epochs.events(session, EPOCH)] == [EpochState.OPEN]
