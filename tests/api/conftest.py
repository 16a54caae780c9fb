"""What the HTTP tests stand on: a demo network with two final epochs on either engine, and real server processes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import servers
from http_server import Server, serve

from ledger.chain.local.anvil import start_detached
from ledger.demo.network import DemoNetwork
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal

FINAL_EPOCHS = 2


@dataclass(slots=True)
class Played:
    """A workspace whose epochs 0 and 1 are final, epoch 2 is over, and whose chain runs."""

    root: Path
    network: DemoNetwork


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Played]:
    """The played demo network on an engine; made once for each."""

    @cache
    def make(engine: str) -> Played:
        folder = tmp_path_factory.mktemp(engine)
        chosen = {}
        if engine == "postgresql":
            chosen["database_url"] = servers.new_place(engine, folder, request.getfixturevalue("postgres_url"))
        network = DemoNetwork(nodes=12, operators=4)
        rehearsal = Rehearsal.create(folder / "ledger", network, **chosen)
        ledger = rehearsal.deploy(lambda _step: None)
        rehearsal.register(ledger)
        for number in range(FINAL_EPOCHS):
            rehearsal.attest(ledger, EpochNumber(number))
        for number in range(FINAL_EPOCHS):
            list(rehearsal.settle(ledger, EpochNumber(number)))
        rehearsal.claim(ledger, 0)
        rehearsal.finish(ledger)
        ledger.close()
        start_detached(folder / "ledger" / "chain")
        request.addfinalizer(rehearsal.stop)
        return Played(folder / "ledger", network)

    return make


@pytest.fixture(scope="session")
def start(request: pytest.FixtureRequest) -> Callable[..., Server]:
    """Starts a server on a workspace; it is stopped at the end at the latest."""

    def started(root: Path, *options: str, **environment: str) -> Server:
        server = serve(root, *options, **environment)
        request.addfinalizer(server.close)
        return server

    return started


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, played: Callable[[str], Played], start: Callable[..., Server]) -> Server:
    """A server over the played network, on each engine."""
    return start(played(request.param).root)


@pytest.fixture(scope="session")
def served(played: Callable[[str], Played], start: Callable[..., Server]) -> Server:
    """A server over the played network on SQLite."""
    return start(played("sqlite").root)


@pytest.fixture(autouse=True)
def _no_wallet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ETH_KEYSTORE", "ETH_PASSWORD", "ETH_FROM", "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)
