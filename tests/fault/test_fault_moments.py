"""Killed at random moments and started again until it is done, a demo ends as if nothing had happened."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

STARTS_AT_MOST = 100
WANTED_KILLS = 40
_LEDGER_ERROR = 7


@dataclass(slots=True)
class Disturbance:
    """How often a play was interrupted, and by what."""

    process: int = 0
    process_and_chain: int = 0
    chain: int = 0
    starts: int = 0

    @property
    def kills(self) -> int:
        return self.process + self.process_and_chain + self.chain


@pytest.fixture
def disturb(
    player: Any, end_chain: Callable[[Path], bool], last_words: Callable[[Path], str]
) -> Callable[[str, Path, random.Random, float], Disturbance]:
    """Plays to the end, killing at random moments: the process, both, or the chain under the running process."""

    def disturbed(network: str, root: Path, moments: random.Random, longest: float) -> Disturbance:
        return _disturb(player, end_chain, last_words, network, root, moments, longest)

    return disturbed


def _disturb(
    player: Any,
    end_chain: Callable[[Path], bool],
    last_words: Callable[[Path], str],
    network: str,
    root: Path,
    moments: random.Random,
    longest: float,
) -> Disturbance:
    seen = Disturbance()
    while seen.starts < STARTS_AT_MOST:
        process = player.start(network, root)
        seen.starts += 1
        if not player.has_ended_within(moments.uniform(0, longest)):
            victims = moments.choice(("process", "process", "both", "chain"))
            if victims == "chain" and end_chain(root):
                seen.chain += 1
            else:
                os.kill(process, signal.SIGKILL)
                if victims == "both" and end_chain(root):
                    seen.process_and_chain += 1
                else:
                    seen.process += 1
        how = player.end()
        if how == 0:
            return seen
        assert how in {-signal.SIGKILL, _LEDGER_ERROR}, last_words(root)
    raise AssertionError(f"no end after {STARTS_AT_MOST} starts: {last_words(root)}")


@pytest.mark.slow
def test_the_worked_example_killed_at_random_moments_ends_in_the_same_bytes(
    disturb: Callable[[str, Path, random.Random, float], Disturbance],
    stage: Path,
    differences_from_undisturbed: Callable[[str, Path], list[str]],
) -> None:
    seen = disturb("example", stage, random.Random(1), 0.8)
    assert seen.kills >= 1
    assert differences_from_undisturbed("example", stage) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_three_days_of_forty_nodes_killed_once_at_any_moment_end_in_the_same_bytes(
    player: Any,
    tmp_path: Path,
    end_chain: Callable[[Path], bool],
    last_words: Callable[[Path], str],
    differences_from_undisturbed: Callable[[str, Path], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    moments, began, chains = random.Random(14), time.monotonic(), 0
    root = tmp_path / "undisturbed" / "workspace"
    root.parent.mkdir()
    assert player.play("40", root) == 0
    length = time.monotonic() - began
    for number in range(WANTED_KILLS):
        root = tmp_path / str(number) / "workspace"
        root.parent.mkdir()
        # one moment from each fortieth of the play
        process = player.start("40", root)
        if not player.has_ended_within((number + moments.random()) / WANTED_KILLS * length):
            os.kill(process, signal.SIGKILL)
            chains += int(number % 2 == 0 and end_chain(root))
        player.end()
        assert player.play("40", root) == 0, last_words(root)
        assert differences_from_undisturbed("40", root) == []
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what this run is for
            f"\n{WANTED_KILLS} plays of 40 nodes, 3 days, each killed once, {chains} with the chain; "
            f"{time.monotonic() - began:.0f} s, 0 differences"
        )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_three_days_of_forty_nodes_killed_at_forty_random_moments_end_in_the_same_bytes(
    disturb: Callable[[str, Path, random.Random, float], Disturbance],
    tmp_path: Path,
    differences_from_undisturbed: Callable[[str, Path], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    moments, plays, began = random.Random(2023), [], time.monotonic()
    while sum(play.kills for play in plays) < WANTED_KILLS:
        root = tmp_path / str(len(plays)) / "workspace"
        root.parent.mkdir()
        plays.append(disturb("40", root, moments, 2.5))
        assert differences_from_undisturbed("40", root) == []
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what this run is for
            f"\n{sum(play.kills for play in plays)} kills at random moments in {len(plays)} plays of 40 nodes, 3 days: "
            f"{sum(play.process for play in plays)} of the process, "
            f"{sum(play.process_and_chain for play in plays)} of process and chain, "
            f"{sum(play.chain for play in plays)} of the chain; {sum(play.starts for play in plays)} starts, "
            f"{time.monotonic() - began:.0f} s, 0 differences"
        )
