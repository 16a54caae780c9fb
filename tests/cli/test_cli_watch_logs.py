"""A watcher that stays speaks in log lines on standard error; standard output is its findings."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def test_a_watcher_logs_what_it_judged_and_keeps_its_webhook_to_itself(example: Any, tmp_path: Path) -> None:
    said = tmp_path / "stderr"
    command = "audit", "watch", "--interval", "1", "-o", "json", "--webhook", "http://127.0.0.1:9/hooks/secrethook99"
    with said.open("wb") as stderr, (tmp_path / "stdout").open("wb") as stdout:
        watcher = subprocess.Popen(
            [sys.executable, "-c", "from ledger.cli.edge import main; main()", *command],
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, "ATH_LEDGER_LOG_LEVEL": "debug"},
        )
        deadline = time.monotonic() + 120
        while said.read_text().count("chain.looked") < 2:
            assert watcher.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(60) == 8
    *lines, cancelled = said.read_text().splitlines()
    assert cancelled.startswith("user.cancelled")
    events = [json.loads(line) for line in lines]
    judged = [each for each in events if each["event"] == "header.judged"]
    assert [(each["program"], each["epoch"], each["verdict"], each["level"]) for each in judged] == [
        ("watch", 0, "fine", "info")
    ]
    assert "secrethook99" not in said.read_text()
    assert json.loads((tmp_path / "stdout").read_text())["data"][0]["verdict"] == "fine"
