"""A worker's /metrics while it works: the ledger's standing, and the steps its forked processes took."""

import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from cluster import Cluster

from ledger.demo.worked_example import WorkedExample
from ledger.model.units import EpochNumber

EPOCH = EpochNumber(0)


def eventually(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_shows_the_ledger_and_what_its_processes_did(tmp_path: Path) -> None:
    with Cluster.create(tmp_path / "cluster", "", WorkedExample()) as cluster:
        worker = cluster.start_workers(1)[0]
        worker.kill()
        worker.options = (*worker.options, "--metrics-port", "0")
        worker.start()
        eventually(lambda: "metrics at http" in worker.log_file.read_text())
        address = re.findall(r"metrics at (\S+)", worker.log_file.read_text())[-1]

        def scrape() -> dict[str, float]:
            with urllib.request.urlopen(address, timeout=30) as answer:
                lines = answer.read().decode().splitlines()
            return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

        before = scrape()
        assert before["ath_ledger_database_up"] == 1
        assert before['ath_ledger_epochs{state="final"}'] == 0
        cluster.hand_in(EPOCH)
        cluster.pass_cut_off(EPOCH)
        cluster.settle(EPOCH)
        eventually(lambda: scrape()['ath_ledger_epochs{state="final"}'] == 1)
        after = scrape()
        for step in ("freeze", "compute", "seal", "propose", "activate"):
            assert after[f'ath_ledger_step_seconds_count{{outcome="moved",step="{step}"}}'] >= 1, step
        assert after['ath_ledger_items_total{kind="registration",schema=""}'] > 0
        assert after["ath_ledger_submissions_waiting"] == 0
        assert worker.stop() == 0
    lines = worker.log_file.read_text()
    assert '"event": "epoch.moved", "program": "worker"' in lines
