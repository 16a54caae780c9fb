"""`ath-ledger demo` as a person runs it: killed, interrupted by Ctrl-C, run again."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledger.db.faultpoint import FAULTPOINT_VARIABLE

CANCELLED = 8
_RUN = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"


def demo(root: Path, faultpoint: str = "") -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _RUN, "demo", "--example", "--workspace", str(root)]
    environment = os.environ | {FAULTPOINT_VARIABLE: faultpoint, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def chains(output: str) -> list[str]:
    """The heads of both hash chains as the demo prints them."""
    return [line.split(",")[1].strip() for line in output.splitlines() if "chain: entry" in line]


def test_the_demo_killed_and_interrupted_ends_with_the_heads_of_an_undisturbed_one(
    stage: Path, undisturbed: Callable[[str], dict[str, Any]], end_chain: Callable[[Path], bool]
) -> None:
    killed = demo(stage, "seal.before_commit")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    end_chain(stage)

    interrupted = demo(stage)
    assert interrupted.stdout is not None
    for line in interrupted.stdout:
        if line.strip().startswith("proposed"):
            break
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate()
    assert interrupted.returncode == CANCELLED, said
    assert "user.cancelled" in said

    finished, _ = demo(stage).communicate()
    entries = undisturbed("example")["table journal_entries"]
    heads = {entry["chain"]: entry for entry in sorted(entries, key=lambda entry: entry["number"])}
    assert chains(finished) == ["0x" + heads[name]["hash"].hex() for name in ("seal", "log")]
