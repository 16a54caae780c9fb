"""Processes that step one epoch at the same time, on either engine: every transition once, nothing halts."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import Cluster

from ledger.db import epochs, journal, outbox
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber

EPOCH = EpochNumber(0)
STEPPERS = 3
STEP_FOR_EVER = """
import os, sys
from pathlib import Path
from ledger.model.units import EpochNumber
from ledger.steps.drive import state_of, step
from ledger.workspace import Workspace
place = Workspace.at(Path(sys.argv[1]))
with place.writing():
    ledger = place.open()
    ledger.settlement()
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        result = step(ledger, EpochNumber(0))
        print(result, flush=True)
        if state_of(ledger, EpochNumber(0)) in {"final", "halted"}:
            break
    ledger.close()
"""


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_three_processes_that_step_at_once_do_everything_once(
    tmp_path: Path, new_url: Callable[[str], str], engine: str
) -> None:
    url = new_url("postgresql") if engine == "postgresql" else ""
    with Cluster.create(tmp_path, url, WorkedExample()) as cluster:
        cluster.rehearsal.attest(cluster.ledger, EPOCH)
        cluster.pass_cut_off(EPOCH)
        command = [sys.executable, "-c", STEP_FOR_EVER, str(cluster.rehearsal.workspace.root)]
        logs = [(tmp_path / f"stepper-{number}.log").open("w+") for number in range(STEPPERS)]
        steppers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, text=True)
            for log in logs
        ]
        try:
            cluster.wait(lambda: all("ready" in _read(log.name) for log in logs), "the steppers")
            for stepper in steppers:
                _say(stepper, "go\n")
            cluster.settle(EPOCH)
            deadline = time.monotonic() + 60
            while any(stepper.poll() is None for stepper in steppers) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert [stepper.returncode for stepper in steppers] == [0] * STEPPERS, [_read(log.name) for log in logs]
        finally:
            for stepper, log in zip(steppers, logs, strict=True):
                stepper.kill()
                stepper.wait()
                if stepper.stdin is not None:
                    stepper.stdin.close()
                log.close()
        with cluster.ledger.database.reading() as session:
            states = Counter(event.state for event in epochs.events(session, EPOCH))
            sent = [entry.key for entry in outbox.entries(session, cluster.ledger.domain.chain_id)]
            booked = [entry.key for entry in journal.entries(session)]
            journal.verify_journal(session)
    assert states == {state: 1 for state in EpochState if state not in {EpochState.HALTED, EpochState.REVOKED}}
    assert sent == ["epoch/0/propose/1", "epoch/0/activate/1"]
    assert len(booked) == len(set(booked)) == 3


def _say(stepper: "subprocess.Popen[str]", words: str) -> None:
    assert stepper.stdin is not None
    stepper.stdin.write(words)
    stepper.stdin.flush()


def _read(file: str) -> str:
    return Path(file).read_text()
