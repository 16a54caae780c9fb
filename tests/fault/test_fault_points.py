"""Killed at every named place, alone or together with its chain, a rehearsal ends as if nothing had happened."""

import ast
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ledger

EXAMPLE = "example"
TRANSITIONS = {
    "an item is taken in": ("collect.before_commit", "collect.after_commit", "collect.after_effect"),
    "OPEN → FROZEN": ("freeze.before_commit", "freeze.after_commit", "freeze.after_effect"),
    "FROZEN → COMPUTED": ("compute.before_commit", "compute.after_commit", "compute.after_effect"),
    "COMPUTED → SEALED": ("seal.before_commit", "seal.after_commit", "seal.after_effect"),
    "SEALED → PROPOSED": ("propose.before_commit", "propose.after_commit", "outbox.broadcast.after_send"),
    "PROPOSED → ACTIVE": ("activate.before_commit", "activate.after_commit", "outbox.broadcast.after_send"),
    "ACTIVE → FINAL": ("follow.before_commit", "follow.after_commit", "follower.after_commit"),
    "a person's call is sent": ("send.before_commit", "send.after_commit", "send.after_effect"),
}
"""Before the commit, after it, and after the effect outside the database: a file, a broadcast, what was read."""

WALK = """
    create.before_database  create.before_settings  create.after_settings  anvil.after_start
    deploy.after_sign  deploy.after_receipt  deploy.after_receipt@4  deploy.after_write
    collect.after_effect  collect.before_commit  collect.after_commit
    time.after_block  time.after_keep
    freeze.after_effect  freeze.before_commit  freeze.after_commit
    compute.after_effect  compute.before_commit  compute.after_commit
    seal.after_effect  seal.before_commit  seal.after_commit
    propose.before_commit  propose.after_commit
    outbox.sign.before_commit  outbox.sign.after_commit
    outbox.broadcast.before_send  outbox.broadcast.after_commit
    outbox.mined.before_commit  outbox.mined.after_commit
    follower.before_commit  follower.after_commit
    outbox.final.before_commit  outbox.final.after_commit
    time.after_block
    activate.before_commit  activate.after_commit
    outbox.broadcast.after_send  outbox.mined.before_commit  time.after_block
    follower.after_commit  follow.before_commit  follow.after_commit
    send.before_commit  send.after_commit  outbox.sign.after_commit  outbox.broadcast.before_commit
    send.after_effect
    time.after_block  follow.before_commit  follow.after_commit  anvil.after_stop
""".split()  # noqa: SIM905 - a walk, not a wall of quotes
"""In the order a rehearsal comes by; each start is killed at the next of them."""

ELSEWHERE = {
    *(f"follower.reorg.{when}" for when in ("before_commit", "after_commit")),
    *(f"{what}.{when}" for what in ("halt", "resume") for when in ("before_commit", "after_commit")),
    *(f"activate.refused.{when}" for when in ("before_commit", "after_commit")),
    *(f"{what}.{when}" for what in ("receive", "judge", "prepare") for when in ("before_commit", "after_commit")),
    "judge.after_effect",
    *(f"{what}.{when}" for what in ("adopt", "nonces") for when in ("before_commit", "after_commit")),
}
"""An undisturbed rehearsal has no reorg (tests/chain kills there), halts nowhere (test_fault_halt does), has no
activation refused (tests/sim has), no workers (tests/matrix kills them there; test_steps_inbox while receiving) and no
backup to catch up from (test_cli_catching_up)."""


def places_in_the_code() -> Iterator[str]:
    """Every name given to `faultpoint` in the package; the states in a name stand for each other."""
    for file in sorted(Path(ledger.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "faultpoint":
                place = node.args[0]
                if isinstance(place, ast.Constant):
                    yield str(place.value)
                elif isinstance(place, ast.JoinedStr):
                    yield "".join(
                        part.value if isinstance(part, ast.Constant) else "broadcast" for part in place.values
                    )


def test_every_transition_can_be_killed_before_its_commit_after_it_and_after_its_effect() -> None:
    there = set(places_in_the_code())
    missing = {name: set(places) - there for name, places in TRANSITIONS.items() if set(places) - there}
    assert missing == {}


def test_every_place_in_the_code_is_on_the_walk() -> None:
    walked = {place.partition("@")[0] for place in WALK}
    assert set(places_in_the_code()) - walked - ELSEWHERE == set()


@pytest.mark.parametrize(
    "chain_dies",
    [
        pytest.param(lambda number: number % 2 == 0, id="every-second-time-with-its-chain"),
        pytest.param(lambda number: False, id="alone", marks=pytest.mark.slow),
        pytest.param(lambda number: True, id="with-its-chain", marks=pytest.mark.slow),
    ],
)
def test_a_rehearsal_killed_at_every_place_in_turn_ends_in_the_same_bytes(
    player: Any,
    stage: Path,
    end_chain: Callable[[Path], bool],
    differences_from_undisturbed: Callable[[str, Path], list[str]],
    last_words: Callable[[Path], str],
    chain_dies: Callable[[int], bool],
) -> None:
    for number, place in enumerate(WALK):
        assert player.play(EXAMPLE, stage, place) == -signal.SIGKILL, f"{place}: {last_words(stage)}"
        if chain_dies(number):
            end_chain(stage)
    assert player.play(EXAMPLE, stage) == 0, last_words(stage)
    assert differences_from_undisturbed(EXAMPLE, stage) == []


@pytest.mark.slow
@pytest.mark.parametrize("place", sorted({place.partition("@")[0] for place in WALK}))
@pytest.mark.parametrize("with_chain", [False, True], ids=["alone", "with-its-chain"])
def test_a_rehearsal_killed_once_ends_in_the_same_bytes(
    player: Any,
    stage: Path,
    end_chain: Callable[[Path], bool],
    differences_from_undisturbed: Callable[[str, Path], list[str]],
    last_words: Callable[[Path], str],
    place: str,
    with_chain: bool,
) -> None:
    assert player.play(EXAMPLE, stage, place) == -signal.SIGKILL, last_words(stage)
    if with_chain:
        end_chain(stage)
    assert player.play(EXAMPLE, stage) == 0, last_words(stage)
    assert differences_from_undisturbed(EXAMPLE, stage) == []
