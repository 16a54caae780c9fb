"""The local chain keeps its blocks and its time, whatever ends it."""

import json
import os
import time
from pathlib import Path

import pytest

from ledger.chain.anvil import AnvilProcess, find_anvil, find_running, saved_timestamp, start_detached, stop_detached
from ledger.chain.connection import connect
from ledger.chain.demo_time import BLOCK_SECONDS, ChainClock, DemoTime
from ledger.chain.errors import AnvilError
from ledger.model.errors import UsageError
from ledger.model.units import Timestamp

JUNE_2023 = Timestamp(1_686_787_200)


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


def test_a_restarted_chain_continues_at_its_own_time(tmp_path: Path) -> None:
    state = tmp_path / "chain" / "state.json"
    with AnvilProcess.start(state, timestamp=JUNE_2023) as node:
        hashes = story(node.rpc_url)
    assert saved_timestamp(state) == JUNE_2023 + 3600
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
    while saved_timestamp(state) != JUNE_2023 + 3600 and time.monotonic() < deadline:
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


def test_a_stale_record_is_not_mistaken_for_a_running_chain(tmp_path: Path) -> None:
    record = tmp_path / "anvil.json"
    record.write_text(json.dumps({"pid": os.getpid(), "rpc_url": "http://127.0.0.1:1"}))
    assert find_running(tmp_path) is None
    assert not record.exists()


def test_a_missing_binary_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATH_LEDGER_ANVIL", "/nowhere/anvil")
    with pytest.raises(AnvilError, match="npm ci"):
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
