"""A worker's `/metrics`: its own port, and the counts of the processes it forked."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from ledger.telemetry.serving import PortTakenError, metrics_served

_FORKS = """
import os, urllib.request
from ledger.telemetry.serving import metrics_served

def render():
    from ledger.telemetry.metrics import exposition
    return exposition([])

with metrics_served(0, render) as port:
    from ledger.telemetry.metrics import timed_step
    for _ in range(3):
        if os.fork() == 0:
            with timed_step("compute"):
                pass
            os._exit(0)
        os.wait()
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    print(next(line for line in text.splitlines() if line.startswith("ath_ledger_step_seconds_count")))
"""


def test_the_forked_processes_are_counted_together() -> None:
    done = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, timeout=60)
    assert done.stdout == 'ath_ledger_step_seconds_count{outcome="done",step="compute"} 3.0\n', done.stderr


def test_a_port_that_is_taken_is_refused_and_other_paths_are_not_found() -> None:
    with metrics_served(0, lambda: b"x 1\n") as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert answer.read() == b"x 1\n"
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
        caught.value.close()
        with pytest.raises(PortTakenError, match=str(port)), metrics_served(port, lambda: b""):
            pass
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", port)) != 0
