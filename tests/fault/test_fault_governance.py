"""A policy announced and executed on day 0: killed anywhere in it, the three days end in the same bytes."""

import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NETWORK = "20"
WALK = """
    send.before_commit  send.after_commit  outbox.sign.after_commit  outbox.broadcast.after_send
    outbox.mined.before_commit  time.after_block  send.after_commit  outbox.broadcast.after_send  send.after_effect
""".split()  # noqa: SIM905 - a walk, not a wall of quotes
"""In the order the announcement and then the execution come by; each start is killed at the next of them."""


@pytest.mark.slow
def test_a_policy_change_killed_at_every_place_ends_in_the_same_bytes(
    player: Any,
    stage: Path,
    end_chain: Callable[[Path], bool],
    differences_from_undisturbed: Callable[[str, Path], list[str]],
    last_words: Callable[[Path], str],
) -> None:
    for number, place in enumerate(WALK):
        assert player.play(NETWORK, stage, place) == -signal.SIGKILL, f"{place}: {last_words(stage)}"
        if number % 2:
            end_chain(stage)
    assert player.play(NETWORK, stage) == 0, last_words(stage)
    assert differences_from_undisturbed(NETWORK, stage) == []
    connection = sqlite3.connect(stage / "ledger.sqlite")
    frozen_under = connection.execute(
        "SELECT epoch, facts ->> '$.policyVersion' FROM epoch_events WHERE state = 'frozen' ORDER BY epoch"
    )
    assert frozen_under.fetchall() == [(0, 1), (1, 1), (2, 2)]
    connection.close()
