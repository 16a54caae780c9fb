"""Ready means ready: each thing a ledger needs, taken away, is found in bounded time and by name."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import servers
from sqlalchemy import text

from ledger.chain.errors import ChainUnreachableError
from ledger.chain.local.anvil import AnvilProcess
from ledger.db import epochs
from ledger.model.clock import FixedClock
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Timestamp
from ledger.steps.checkup import folder
from ledger.steps.checkup.doctor import Health
from ledger.steps.checkup.health import STANDING_FRESH_SECONDS, Readiness, Report, live
from ledger.steps.ledger import Ledger
from ledger.workspace import Workspace


@pytest.fixture
def ledger(example: Any) -> Iterator[Ledger]:
    opened = Workspace.at(example.root).open()
    yield opened
    opened.close()


def look(ledger: Ledger, example: Any, **more: Any) -> Report:
    return Readiness(ledger=ledger, root=example.root, fresh_seconds=0, **({"patience_seconds": 20} | more)).look()


def told(report: Report, health: Health) -> dict[str, str]:
    return {each.check: each.code for each in report.findings if each.health is health}


def test_a_healthy_ledger_is_ready_and_not_degraded(ledger: Ledger, example: Any) -> None:
    report = look(ledger, example)
    assert (report.is_ready, report.is_degraded) == (True, False), report
    assert report.document()["checks"][0].keys() == {"check", "health", "code", "found", "next"}
    assert live()["live"] is True


def test_a_halted_epoch_is_said_and_does_not_stop_answers(ledger: Ledger, example: Any) -> None:
    at = ledger.clock.now()
    with ledger.database.transaction() as session:
        epochs.open_epoch(session, EpochNumber(1), recorded_at=at)
        standing = epochs.lock_epoch(session, EpochNumber(1))
        facts = {"from": "open"}
        epochs.record_transition(session, standing, EpochState.HALTED, facts=facts, reason="x", recorded_at=at)
    report = look(ledger, example)
    assert (report.is_ready, told(report, Health.WARNING)) == (True, {"epochs": "epoch.halted"})


def test_a_missing_guard_takes_the_ledger_out_of_service(ledger: Ledger, example: Any) -> None:
    with ledger.database.transaction() as session:
        session.execute(text("DROP TRIGGER guard_transfers_update"))
    report = look(ledger, example)
    assert (report.is_ready, told(report, Health.FAILED)) == (False, {"database": "db.guards-changed"})


def without_node(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, age: int | None) -> None:
    """The node is away; the ledger's own time is `age` after the newest final block, or its chain's."""

    def away() -> Any:
        raise ChainUnreachableError("eth_chainId: the node does not answer")

    with ledger.database.reading() as session:
        final_at = session.execute(text("SELECT max(timestamp) FROM chain_finality")).scalar_one()
    monkeypatch.setattr(ledger, "connect", away)
    monkeypatch.setattr(ledger, "_settlement", None)
    if age is not None:
        monkeypatch.setattr(ledger, "clock", FixedClock(Timestamp(final_at + age)))


@pytest.mark.parametrize(
    ("age", "is_ready"), [(STANDING_FRESH_SECONDS, True), (STANDING_FRESH_SECONDS + 1, False), (None, True)]
)
def test_a_node_that_is_away_is_bridged_by_fresh_books_only(
    ledger: Ledger, example: Any, monkeypatch: pytest.MonkeyPatch, age: int | None, is_ready: bool
) -> None:
    without_node(ledger, monkeypatch, age)
    report = look(ledger, example)
    assert report.is_ready is is_ready
    assert told(report, Health.WARNING if is_ready else Health.FAILED) == {"chain": "chain.unreachable"}


@pytest.mark.parametrize(("chain_id", "code"), [(4711, "chain.wrong-chain"), (31337, "chain.other-genesis")])
def test_the_wrong_chain_is_never_bridged(
    example: Any, monkeypatch: pytest.MonkeyPatch, chain_id: int, code: str
) -> None:
    with AnvilProcess.start(chain_id=chain_id) as other:
        monkeypatch.setenv("ATH_LEDGER_RPC_URL", other.rpc_url)
        ledger = Workspace.at(example.root).open()
        assert told(look(ledger, example), Health.FAILED) == {"chain": code}
        ledger.close()


def test_what_hangs_costs_the_asker_his_patience_and_no_thread_more(
    ledger: Ledger, example: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    settle = ledger.settlement()

    def hanging() -> Any:
        release.wait(60)
        return settle

    monkeypatch.setattr(ledger, "connect", hanging)
    monkeypatch.setattr(ledger, "_settlement", None)
    readiness = Readiness(ledger=ledger, root=example.root, fresh_seconds=0, patience_seconds=2)
    began = time.monotonic()
    reports = [readiness.look() for _ in range(2)]
    assert time.monotonic() - began < 30  # not the minute that the node hangs
    assert {told(each, Health.WARNING).get("chain") for each in reports} == {"health.no-answer"}
    assert sum(each.name == "ledger-question" for each in threading.enumerate()) <= 2
    release.set()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_down_is_found_and_its_password_is_not_shown(
    ledger: Ledger, example: Any, scheme: str
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"{scheme}://user:hunter2pass@127.0.0.1:{port}/0"
    report = look(ledger, example, broker_url=url)
    assert told(report, Health.WARNING) == {"broker": "broker.unreachable"}
    assert report.is_ready, "questions need no bell"
    assert "hunter2pass" not in str(report.document())


def test_a_broker_that_answers_is_well_until_it_is_killed(
    ledger: Ledger, example: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = servers.RedisServer(tmp_path_factory.mktemp("broker"))
    server.start()
    try:
        assert look(ledger, example, broker_url=server.url).is_ready
    finally:
        server.kill()
    assert told(look(ledger, example, broker_url=server.url), Health.WARNING) == {"broker": "broker.unreachable"}


def test_a_full_disk_is_found(ledger: Ledger, example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "NEEDED_BYTES", 2**62)
    assert told(look(ledger, example), Health.FAILED) == {"disk": "disk.full"}


def test_a_database_that_is_gone_is_found(ledger: Ledger, example: Any) -> None:
    Path(example.root / "ledger.sqlite").rename(example.root / "elsewhere")
    ledger.database.close()
    report = look(ledger, example)
    assert not report.is_ready
    assert "database" in told(report, Health.FAILED)
