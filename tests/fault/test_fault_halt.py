"""An epoch that was halted, by whomever and however often, goes on as if it had not been."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ledger.db import epochs
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal
from ledger.steps.drive import state_of
from ledger.steps.halt import halt, resume
from ledger.steps.transition import Moved, Waiting

EPOCH = EpochNumber(0)


@pytest.fixture
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("halted") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


_HALT_OR_RESUME = """
import sys
from pathlib import Path
from ledger.steps import halt
from ledger.workspace import Workspace

getattr(halt, sys.argv[1])(Workspace.at(Path(sys.argv[2])).open(), 0, "a test")
"""


def killed_at(place: str, rehearsal: Rehearsal) -> None:
    """Halt or resume, as the place's name says, in a process of its own that is killed there."""
    command = [sys.executable, "-c", _HALT_OR_RESUME, place.partition(".")[0], str(rehearsal.workspace.root)]
    process = subprocess.run(command, env=os.environ | {FAULTPOINT_VARIABLE: place}, check=False)
    assert process.returncode == -signal.SIGKILL


def test_a_halt_and_a_resumption_happen_whole_or_not_at_all(rehearsal: Rehearsal) -> None:
    ledger = rehearsal.deploy(lambda _: None)
    state_of(ledger, EPOCH)
    for place, expected in (
        ("halt.before_commit", EpochState.OPEN),
        ("halt.after_commit", EpochState.HALTED),
        ("resume.before_commit", EpochState.HALTED),
        ("resume.after_commit", EpochState.OPEN),
    ):
        killed_at(place, rehearsal)
        assert state_of(ledger, EPOCH) is expected, place
    ledger.close()


def test_an_epoch_halted_in_every_state_is_resumed_and_becomes_final(rehearsal: Rehearsal) -> None:
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, EPOCH)
    seen = []
    for result in rehearsal.settle(ledger, EPOCH):
        if result.state is EpochState.FINAL:
            break
        seen.append(result.state)
        assert isinstance(halt(ledger, EPOCH, "a promise does not hold"), Moved)
        assert isinstance(halt(ledger, EPOCH, "a second process saw it too"), Waiting)
        resume(ledger, EPOCH, "looked at")
        assert state_of(ledger, EPOCH) is result.state
    assert len(seen) == 5
    with ledger.database.reading() as session:
        assert epochs.current(session, EPOCH).state is EpochState.FINAL
    ledger.close()
