"""`audit verify`, `reconcile` and `watch` on the word of a node that lags, hides or lies: the node is refused by name.

No ledger is accused and nothing is booked on such a node's word.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from rpc_proxy import RpcProxy

from ledger.chain.local.anvil import find_running
from ledger.model.errors import EnvironmentFailure
from ledger.settings import SETTINGS_FILE
from ledger.steps.watching.look import Watcher
from ledger.workspace import Workspace

MISMATCH, ENVIRONMENT = 4, 5
Desk = Any  # conftest's

LIES: Final[dict[str, tuple[Callable[[RpcProxy], object], str]]] = {
    "another chain id": (lambda proxy: proxy.misbehave("wrong-chain-id"), "chain.wrong-chain"),
    "no answer at all": (lambda proxy: proxy.misbehave("reset-before"), "chain.unreachable"),
    "an error page": (lambda proxy: proxy.misbehave("garbage", value="<html>busy</html>"), "chain."),
    "a head far behind": (lambda proxy: proxy.misbehave("stale-head", value=5), "chain."),
    "events left out": (lambda proxy: proxy.misbehave("empty-logs"), "chain.logs-hidden"),
    "contracts without code": (lambda proxy: proxy.misbehave("answer", "eth_getCode", value="0x"), "chain.other-code"),
}


@pytest.fixture
def proxy(example: Desk) -> Iterator[RpcProxy]:
    """The example's chain through a node that can misbehave; the workspace knows no other."""
    running = find_running(example.root / "chain")
    assert running is not None
    with RpcProxy(running.rpc_url) as made:
        place = example.root / SETTINGS_FILE
        place.write_text(place.read_text() + f'rpc_url = "{made.url}"\n')
        yield made


def journal_of(root: Path) -> list[tuple[int, bytes]]:
    with closing(sqlite3.connect(root / "ledger.sqlite")) as database:
        return database.execute("SELECT seq, hash FROM journal_entries ORDER BY seq").fetchall()


@pytest.mark.parametrize("what", LIES)
def test_a_node_that_lags_or_lies_is_refused_by_every_audit(example: Desk, proxy: RpcProxy, what: str) -> None:
    misbehave, code = LIES[what]
    bundle = example.folder / "bundle.zip"
    assert example.do("audit", "export", "--epoch", "0", "--out", bundle)[0] == 0
    before = journal_of(example.root)
    misbehave(proxy)
    for command in (
        ("verify", "--rpc", proxy.url),
        ("verify", bundle, "--rpc", proxy.url),
        ("reconcile", "--book"),
        ("watch", "--once"),
    ):
        ended, _, err = example.do("audit", *command)
        said = next(line for line in err.splitlines() if ": " in line and "Next:" in line)
        assert (ended, said.startswith((code, "reconcile.chain-behind"))) == (ENVIRONMENT, True), (command, err)
    assert journal_of(example.root) == before
    proxy.behave()
    for command in (("verify",), ("reconcile",), ("watch", "--once")):
        ended, _, err = example.do("audit", *command)
        assert ended == 0, (command, err)


def test_one_event_kept_back_is_a_difference_that_names_it(example: Desk, proxy: RpcProxy) -> None:
    """The last one is about money and in no header: that it is missing shows beside the followed logs."""
    honest = proxy.ask("eth_getLogs", {"fromBlock": "0x1", "toBlock": "latest"})
    proxy.misbehave("answer", "eth_getLogs", value=honest[:-1])
    ended, out, err = example.do("audit", "verify", "--rpc", proxy.url, "-o", "json")
    assert ended == MISMATCH, err
    failed = [row for row in json.loads(out)["data"] if row["result"] == "FAILED"]
    (found,) = [row for row in failed if row["check"] == "chain.logs"]
    assert honest[-1]["blockHash"] in found["where"]
    assert found["expected"] == "None"


def test_a_watcher_does_not_take_a_node_that_went_back_for_the_chain(example: Desk, proxy: RpcProxy) -> None:
    """It has seen more: a node that lost blocks would hide the proposal that must be stopped."""
    watcher = Watcher(Workspace.at(example.root).open(read_only=True))
    try:
        block = watcher.look().block.number
        for behind in (-1, -block + 3):
            proxy.misbehave("stale-head", value=behind)
            with pytest.raises(EnvironmentFailure) as refused:
                watcher.look()
            assert refused.value.code.startswith("chain.")
            proxy.behave()
        assert watcher.look().block.number == block
    finally:
        watcher.ledger.close()
