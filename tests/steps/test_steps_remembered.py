"""What a process remembers: made once, few at a time, and never a failure."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.steps.kept.remembered import Remembered


def test_a_thing_is_made_once_and_again_after_it_was_forgotten() -> None:
    memory, made = Remembered(), []
    for _ in range(3):
        assert memory.get("tree", lambda: made.append("tree") or len(made)) == 1  # type: ignore[func-returns-value]
    memory.forget("tree")
    assert memory.get("tree", lambda: 7) == 7


def test_none_is_remembered_too() -> None:
    memory = Remembered()
    assert memory.get("nothing", lambda: None) is None
    assert memory.get("nothing", lambda: pytest.fail("made twice")) is None


def test_a_failure_is_not_remembered() -> None:
    memory = Remembered()
    with pytest.raises(ZeroDivisionError):
        memory.get("figure", lambda: 1 // 0)
    assert memory.get("figure", lambda: 1) == 1


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    memory = Remembered(at_most=2)
    memory.get(1, lambda: "one")
    memory.get(2, lambda: "two")
    memory.get(1, lambda: "again")
    memory.get(3, lambda: "three")
    assert len(memory) == 2
    assert memory.get(1, lambda: "anew") == "one"
    assert memory.get(2, lambda: "anew") == "anew"


def test_threads_that_ask_at_once_share_one_making() -> None:
    memory, made = Remembered(), []

    def make() -> int:
        time.sleep(0.02)
        made.append(1)
        return len(made)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: memory.get("slow", make), range(8))) == {1}
    assert len(made) == 1
