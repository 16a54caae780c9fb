"""An epoch that was halted, by whomever and however often, goes on as if it had not been."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from ledger.db import epochs
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal
from ledger.steps.drive import state_of
from ledger.steps.transitions.halt import halt, resume
from ledger.steps.transitions.transition import Moved, Waiting

EPOCH = EpochNumber(0)


@pytest.fixture
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("halted") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


_KILLED_IN_TURN = """
import os, sqlite3, sys
from pathlib import Path
import web3.providers.rpc
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.steps.transitions import halt
from ledger.workspace import Workspace

root = Path(sys.argv[1])
for place in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        os.environ[FAULTPOINT_VARIABLE] = place
        try:
            getattr(halt, place.partition(".")[0])(Workspace.at(root).open(), 0, "a test")
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    books = sqlite3.connect(root / "ledger.sqlite")
    print(code, *books.execute("SELECT state FROM epochs").fetchone())
    books.close()
"""
"""Halts or resumes, as each place's name says, in a process of its own that is killed there."""


def test_a_halt_and_a_resumption_happen_whole_or_not_at_all(rehearsal: Rehearsal) -> None:
    ledger = rehearsal.deploy(lambda _: None)
    state_of(ledger, EPOCH)
    ledger.close()
    places = ("halt.before_commit", "halt.after_commit", "resume.before_commit", "resume.after_commit")
    command = [sys.executable, "-c", _KILLED_IN_TURN, str(rehearsal.workspace.root), *places]
    played = subprocess.run(command, check=True, capture_output=True, text=True)
    assert played.stdout.splitlines() == ["-9 open", "-9 halted", "-9 halted", "-9 open"], played.stderr


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
