"""The same epoch, taken through by any number of worker processes on either engine, has the same header and seal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster

from ledger.demo.worked_example import WorkedExample
from ledger.model.units import EpochNumber

EPOCH = EpochNumber(0)


@pytest.fixture(scope="session")
def played_by(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Plays the worked example with so many workers on an engine; what it leaves."""

    def play(engine: str, workers: int, url: str) -> dict[str, Any]:
        folder: Path = tmp_path_factory.mktemp(f"{engine}-{workers}")
        with Cluster.create(folder, url, WorkedExample()) as cluster:
            cluster.start_workers(workers)
            digests = cluster.hand_in(EPOCH)
            cluster.pass_cut_off(EPOCH)
            cluster.settle(EPOCH)
            assert cluster.submission_states(digests)["admitted"] > 0
            left = cluster.outcome(EPOCH)
            assert [worker.stop() for worker in cluster.workers] == [0] * workers
            return left

    return play


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the same epoch leaves when one process does everything, without workers."""
    folder = tmp_path_factory.mktemp("alone")
    with Cluster.create(folder, "", WorkedExample()) as cluster:
        cluster.rehearsal.attest(cluster.ledger, EPOCH)
        for _ in cluster.rehearsal.settle(cluster.ledger, EPOCH):
            pass
        return cluster.outcome(EPOCH)


def test_two_workers_on_two_machines_do_what_one_process_does(
    played_by: Callable[..., Any], alone: dict[str, Any], new_url: Callable[[str], str]
) -> None:
    assert played_by("postgresql", 2, new_url("postgresql")) == alone


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_any_number_of_workers_on_either_engine_does(
    played_by: Callable[..., Any], alone: dict[str, Any], new_url: Callable[[str], str], engine: str, workers: int
) -> None:
    url = new_url("postgresql") if engine == "postgresql" else ""
    assert played_by(engine, workers, url) == alone
