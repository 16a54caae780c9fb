"""`ath-ledger serve`: several processes on one address, a clean stop, and a clear word when it cannot start."""

import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from http_server import Server

from ledger.cli.edge import run


def test_two_processes_answer_and_stop_when_they_are_told(
    played: Callable[[str], Any], start: Callable[..., Server]
) -> None:
    server = start(played("sqlite").root, "--workers", "2")
    answered = {server.get("/healthz").json()["pid"] for _ in range(60)}
    assert answered <= children(server.process.pid)
    for _ in range(3):
        assert server.get("/v1/epochs").status_code == 200
    counted = [line for line in server.get("/metrics").text.splitlines() if "http_request_seconds_count{" in line]
    epochs = next(line for line in counted if 'route="/v1/epochs"' in line)
    assert float(epochs.rsplit(" ", 1)[1]) == 3, "counted over both processes"
    assert server.stop() == 0
    assert server.said().endswith("stopped\n")
    assert not answered & running()


def test_a_process_that_is_killed_is_replaced(played: Callable[[str], Any], start: Callable[..., Server]) -> None:
    import os
    import time

    import httpx

    server = start(played("sqlite").root, "--workers", "2")
    victim = server.get("/healthz").json()["pid"]
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 60
    pids: set[int] = set()
    while len(pids) < 2 or victim in pids:
        assert time.monotonic() < deadline
        try:
            pids.add(server.get("/healthz").json()["pid"])
        except httpx.TransportError:
            continue  # it was in the hands of the one that died
        pids.discard(victim)
    assert server.stop() == 0


def test_an_interrupt_stops_it_as_well(played: Callable[[str], Any], start: Callable[..., Server]) -> None:
    server = start(played("sqlite").root)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) in (0, 8, 130)
    assert "Traceback" not in server.said()


def test_a_taken_port_is_said_at_once(played: Callable[[str], Any], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["serve", "-w", str(played("sqlite").root), "--port", port]) == 5
    assert capsys.readouterr().err.startswith(f"serve.address: cannot listen on 127.0.0.1:{port}")


def test_a_workspace_that_is_not_there_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "-w", str(tmp_path), "--port", "0"]) == 3
    assert capsys.readouterr().err.startswith("workspace.missing")


def test_readiness_fails_when_the_books_are_not_guarded(
    played: Callable[[str], Any], start: Callable[..., Server], tmp_path: Path
) -> None:
    import shutil
    import sqlite3

    root = tmp_path / "ledger"
    shutil.copytree(played("sqlite").root, root)
    server = start(root)
    assert server.get("/readyz").status_code == 200
    with sqlite3.connect(root / "ledger.sqlite") as attacker:
        (name,) = attacker.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' LIMIT 1").fetchone()
        attacker.execute(f"DROP TRIGGER {name}")
    attacker.close()
    import time

    deadline = time.monotonic() + 30
    while server.get("/readyz").status_code != 503:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    checks = {each["check"]: each for each in server.get("/readyz").json()["checks"]}
    assert checks["database"]["code"] == "db.guards-changed"
    assert server.get("/healthz").status_code == 200


def children(parent: int) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=True)
    return {int(pid) for pid in found.stdout.split()}


def running() -> set[int]:
    found = subprocess.run(["ps", "-eo", "pid="], capture_output=True, text=True, check=True)
    return {int(pid) for pid in found.stdout.split()}
