"""The demo's second epoch through workers, while the worker, PostgreSQL, Redis and Anvil are killed one after another.

Each part is killed at another moment in each case, so that over the four cases every part dies at every moment; it is
started again at once, as whoever supervises it would. The oracle: the bytes that one process leaves which nobody
disturbs.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from servers import PostgresServer, new_place

from ledger.chain.local.anvil import find_running, start_detached
from ledger.db import epochs, journal, outbox
from ledger.demo.network import DemoNetwork
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber

FIRST, SECOND = EpochNumber(0), EpochNumber(1)
A_FEW, THE_DEMO = 40, 1213
MOMENTS = ("while evidence is judged", EpochState.FROZEN, EpochState.SEALED, EpochState.PROPOSED)
ORDER = list(EpochState)
PARTS = ("worker", "PostgreSQL", "Redis", "Anvil")


@dataclass
class Service:
    """A cluster on a PostgreSQL of its own, all of whose parts can be killed and started again."""

    cluster: Cluster
    postgres: PostgresServer

    def kill(self, part: str) -> None:
        """End a part as a power cut would, and start it again."""
        match part:
            case "worker":
                worker = self.cluster.workers[0]
                worker.kill()
                worker.start()
            case "PostgreSQL":
                self.postgres.kill()
                self.postgres.start()
            case "Redis":
                self.cluster.redis.kill()
                self.cluster.redis.start()
            case "Anvil":
                folder = self.cluster.rehearsal.workspace.chain_folder
                chain = find_running(folder)
                assert chain is not None
                chain.kill()
                start_detached(folder, port=int(chain.rpc_url.rpartition(":")[2]))


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Any]]:
    """What the second epoch of so many nodes leaves when one process does everything; played once."""
    known: dict[int, dict[str, Any]] = {}

    def play(nodes: int) -> dict[str, Any]:
        if nodes not in known:
            with Cluster.create(tmp_path_factory.mktemp("alone") / "cluster", "", DemoNetwork(nodes=nodes)) as cluster:
                for epoch in (FIRST, SECOND):
                    cluster.rehearsal.attest(cluster.ledger, epoch)
                    for _ in cluster.rehearsal.settle(cluster.ledger, epoch):
                        pass
                known[nodes] = cluster.outcome(SECOND)
        return known[nodes]

    return play


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[[int], Service]]:
    """Makes a service that has its first epoch behind it, with two workers."""
    postgres = PostgresServer(tmp_path)
    postgres.start()
    made: list[Cluster] = []

    def make(nodes: int) -> Service:
        url = new_place("postgresql", tmp_path, postgres.url)
        cluster = Cluster.create(tmp_path / "cluster", url, DemoNetwork(nodes=nodes))
        made.append(cluster)
        cluster.start_workers(2)
        cluster.play(FIRST)
        return Service(cluster, postgres)

    yield make
    for cluster in made:
        cluster.close()
    postgres.stop()


@pytest.mark.row("any part killed in the second epoch")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("nodes", "shift"),
    [(A_FEW, 0), *(pytest.param(THE_DEMO, shift, marks=pytest.mark.slow) for shift in range(len(PARTS)))],
)
def test_any_part_may_die_in_the_second_epoch_of_the_demo(
    service: Callable[[int], Service], alone: Callable[[int], dict[str, Any]], nodes: int, shift: int
) -> None:
    """A worker, PostgreSQL, Redis and Anvil are killed, each at another moment of the epoch, and started again."""
    running = service(nodes)
    cluster = running.cluster
    victims = {moment: PARTS[(at + shift) % len(PARTS)] for at, moment in enumerate(MOMENTS)}

    cluster.hand_in_without_waiting(SECOND)
    running.kill(victims.pop("while evidence is judged"))
    cluster.wait_for_verdicts()
    cluster.pass_cut_off(SECOND)
    done: set[str] = set()

    def arrived() -> bool:
        cluster.move_time(SECOND, done)
        state = cluster.state(SECOND)
        due = [moment for moment in victims if ORDER.index(EpochState(moment)) <= ORDER.index(state)]
        for moment in due:
            running.kill(victims.pop(moment))
        return state is EpochState.FINAL

    cluster.wait(arrived, "the second epoch becoming final while parts of the service die")
    assert victims == {}
    assert cluster.outcome(SECOND) == alone(nodes)
    with cluster.ledger.database.reading() as session:
        states = Counter(event.state for event in epochs.events(session, SECOND))
        sent = [entry.key for entry in outbox.entries(session, cluster.ledger.domain.chain_id)]
        journal.verify_journal(session)
    assert states == {state: 1 for state in EpochState if state not in {EpochState.HALTED, EpochState.REVOKED}}
    assert sent == [f"epoch/{epoch}/{step}/1" for epoch in (FIRST, SECOND) for step in ("propose", "activate")]
