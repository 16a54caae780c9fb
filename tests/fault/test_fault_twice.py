"""Every step twice in a row is harmless; of two processes on one workspace only one acts."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LEDGER_ERROR = 7


def test_every_step_done_twice_in_a_row_ends_in_the_same_bytes(
    player: Any,
    stage: Path,
    differences_from_undisturbed: Callable[[str, Path], list[str]],
    last_words: Callable[[Path], str],
) -> None:
    assert player.play("example", stage, times=2) == 0, last_words(stage)
    assert differences_from_undisturbed("example", stage) == []


def test_a_rehearsal_that_is_done_can_be_played_again(
    player: Any, stage: Path, differences_from_undisturbed: Callable[[str, Path], list[str]]
) -> None:
    assert player.play("example", stage) == 0
    assert player.play("example", stage) == 0
    assert differences_from_undisturbed("example", stage) == []


def test_a_second_process_is_told_that_the_workspace_is_busy_and_changes_nothing(
    player: Any,
    second_player: Any,
    stage: Path,
    differences_from_undisturbed: Callable[[str, Path], list[str]],
    last_words: Callable[[Path], str],
) -> None:
    first = player.start("example", stage)
    while not (stage / ".lock").is_file() or not (stage / ".lock").read_text():
        time.sleep(0.01)
    os.kill(first, signal.SIGSTOP)  # alive, and holding the workspace
    assert second_player.play("example", stage) == _LEDGER_ERROR
    assert "workspace.busy" in last_words(stage)
    assert f"process {first} " in last_words(stage)
    os.kill(first, signal.SIGCONT)
    assert player.end() == 0
    assert differences_from_undisturbed("example", stage) == []
