"""The local chain keeps its blocks and its time, whatever ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledger.chain.errors import AnvilError
from ledger.chain.local.anvil import PID_FILE, AnvilProcess, find_anvil, find_running, start_detached, stop_detached
from ledger.chain.local.anvil_state import LIVE_FILE, ready_state
from ledger.chain.local.demo_time import BLOCK_SECONDS, ChainClock, DemoTime
from ledger.chain.node.connection import connect
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.model.errors import UsageError
from ledger.model.units import Address, Timestamp

JUNE_2023 = Timestamp(1_686_787_200)
ANVIL_ACCOUNT = Address(bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"))
"""The first account every Anvil begins with."""
_START = """
from pathlib import Path
from sys import argv
from ledger.chain.local.anvil import start_detached

print(start_detached(Path(argv[1])).rpc_url)
"""


def story(rpc_url: str) -> list[str]:
    """A few blocks at set times; their hashes."""
    connection = connect(rpc_url)
    demo = DemoTime(connection)
    demo.mine(2)
    demo.jump_to(Timestamp(JUNE_2023 + 3600))
    return [block.hash.hex() for block in connection.blocks([0, 1, 2, 3])]


def test_the_same_story_gives_the_same_block_hashes_on_two_chains() -> None:
    with AnvilProcess.start(timestamp=JUNE_2023) as one, AnvilProcess.start(timestamp=JUNE_2023) as two:
        assert story(one.rpc_url) == story(two.rpc_url)


def _last_time(state: Path) -> int:
    """The last block's time in a state that Anvil may be writing at this moment."""
    try:
        return int(json.loads(state.read_text())["block"]["timestamp"], 16)
    except (FileNotFoundError, ValueError):
        return 0


def test_a_chain_has_its_first_block_however_often_it_is_restarted(tmp_path: Path) -> None:
    """Anvil 1.7 adds a first block at each start, and loads one of them at random."""
    first = set()
    for start in range(8):
        connection = connect(start_detached(tmp_path, timestamp=JUNE_2023).rpc_url)
        first.add((connection.block(0).hash, connection.block(0).timestamp))
        if start:
            DemoTime(connection).mine()
        stop_detached(tmp_path)
    assert len(first) == 1
    assert first.pop()[1] == JUNE_2023


def test_a_restarted_chain_continues_at_its_own_time(tmp_path: Path) -> None:
    state = tmp_path / "chain" / "state.json"
    with AnvilProcess.start(state, timestamp=JUNE_2023) as node:
        hashes = story(node.rpc_url)
    assert ready_state(state) == JUNE_2023 + 3600
    with AnvilProcess.start(state, timestamp=JUNE_2023) as node:
        connection = connect(node.rpc_url)
        assert [block.hash.hex() for block in connection.blocks([0, 1, 2, 3])] == hashes
        assert ChainClock(connection).now() == JUNE_2023 + 3600
        assert DemoTime(connection).mine().timestamp == JUNE_2023 + 3600 + BLOCK_SECONDS


def test_a_killed_chain_has_lost_at_most_its_last_second(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    node = AnvilProcess.start(state, timestamp=JUNE_2023)
    hashes = story(node.rpc_url)
    deadline = time.monotonic() + 20
    while _last_time(state) != JUNE_2023 + 3600 and time.monotonic() < deadline:
        time.sleep(0.1)
    node.kill()
    assert not node.is_running
    with AnvilProcess.start(state) as again:
        assert connect(again.rpc_url).block(3).hash.hex() == hashes[3]


def test_time_does_not_run_backwards() -> None:
    with AnvilProcess.start(timestamp=JUNE_2023) as node:
        demo = DemoTime(connect(node.rpc_url))
        with pytest.raises(UsageError, match="cannot go back"):
            demo.jump_to(Timestamp(JUNE_2023 - 1))


def test_a_detached_chain_is_started_once_found_again_and_stopped(tmp_path: Path) -> None:
    node = start_detached(tmp_path, timestamp=JUNE_2023)
    try:
        assert start_detached(tmp_path).rpc_url == node.rpc_url
        found = find_running(tmp_path)
        assert found is not None
        assert found.pid == node.pid
    finally:
        node.stop()
    assert find_running(tmp_path) is None
    assert not stop_detached(tmp_path)


def test_a_process_id_left_by_a_crash_is_not_mistaken_for_a_running_chain(tmp_path: Path) -> None:
    start_detached(tmp_path, timestamp=JUNE_2023).kill()
    assert (tmp_path / PID_FILE).exists()
    (tmp_path / PID_FILE).write_text(f"{os.getpid()}\n")
    assert find_running(tmp_path) is None
    assert not stop_detached(tmp_path)


def test_a_chain_whose_starter_was_killed_at_once_is_found_and_not_started_twice(tmp_path: Path) -> None:
    starter = subprocess.run(
        [sys.executable, "-c", _START, str(tmp_path)],
        env=os.environ | {FAULTPOINT_VARIABLE: "anvil.after_start"},
        check=False,
    )
    assert starter.returncode == -signal.SIGKILL
    orphan = find_running(tmp_path)
    assert orphan is not None
    try:
        assert start_detached(tmp_path).pid == orphan.pid
    finally:
        assert stop_detached(tmp_path)
    assert not orphan.is_running


def test_two_processes_that_start_one_chain_at_once_get_the_same(tmp_path: Path) -> None:
    starters = [subprocess.Popen([sys.executable, "-c", _START, str(tmp_path)], stdout=subprocess.PIPE) for _ in "ab"]
    answers = [starter.communicate()[0] for starter in starters]
    try:
        assert answers[0].startswith(b"http://127.0.0.1:")
        assert answers[0] == answers[1]
    finally:
        assert stop_detached(tmp_path)


def test_blocks_made_by_moving_time_survive_a_chain_that_is_killed_while_it_writes(tmp_path: Path) -> None:
    node = start_detached(tmp_path, timestamp=JUNE_2023)
    connection = connect(node.rpc_url)
    DemoTime(connection, kept_in=tmp_path).mine(3)
    hashes = [block.hash for block in connection.blocks(range(4))]
    node.kill()
    (tmp_path / LIVE_FILE).write_text("")  # as Anvil leaves it when it is killed in the middle
    again = start_detached(tmp_path)
    try:
        connection = connect(again.rpc_url)
        assert [block.hash for block in connection.blocks(range(4))] == hashes
        assert connection.balance_wei(ANVIL_ACCOUNT, at=hashes[1]) > 0, "the states of its blocks are there too"
    finally:
        stop_detached(tmp_path)


def test_a_missing_binary_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATH_LEDGER_ANVIL", "/nowhere/anvil")
    with pytest.raises(AnvilError, match="npm install"):
        find_anvil()


def test_a_chain_that_cannot_start_says_why() -> None:
    with AnvilProcess.start() as node:
        port = int(node.rpc_url.rpartition(":")[2])
        with pytest.raises(AnvilError, match="did not start"):
            AnvilProcess.start(port=port)


def test_damaged_state_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text("{")
    with pytest.raises(AnvilError, match="damaged"):
        AnvilProcess.start(state)


def test_the_checkouts_own_anvil_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATH_LEDGER_ANVIL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_anvil().name == "anvil"
