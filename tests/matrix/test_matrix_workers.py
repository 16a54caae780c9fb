"""Workers that die, and a broker that delivers badly, forgets or is away: time is lost, and nothing else.

Real worker processes on PostgreSQL and Redis take the worked example through; each test disturbs them in its own way.
The oracle is always the same: header, seal and files of one process that nobody disturbed, and every transition once.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from cluster import Cluster

from ledger.db import epochs, journal, outbox
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.storage.batch_files import write_batch
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.intake.inbox import receive
from ledger.tasks import bell
from ledger.tasks.app import celery_app

EPOCH = EpochNumber(0)
AT_LEAST_SEEN = 3
"""Proposed, active and final wait for blocks that are mined here; several others may pass between two looks."""
NOT_ON_THE_WAY = {EpochState.HALTED, EpochState.REVOKED}
POINTS = [
    f"{transition}.{moment}"
    for transition, moments in {
        "judge": ("after_effect", "before_commit", "after_commit"),
        "collect": ("after_effect", "before_commit", "after_commit"),
        "prepare": ("before_commit", "after_commit"),
        "freeze": ("after_effect", "before_commit", "after_commit"),
        "compute": ("after_effect", "before_commit", "after_commit"),
        "seal": ("after_effect", "before_commit", "after_commit"),
        "propose": ("before_commit", "after_commit"),
        "activate": ("before_commit", "after_commit"),
        "follow": ("before_commit", "after_commit"),
    }.items()
    for moment in moments
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process leaves that nobody disturbs, without workers or a broker."""
    with Cluster.create(tmp_path_factory.mktemp("alone"), "", WorkedExample()) as cluster:
        cluster.rehearsal.attest(cluster.ledger, EPOCH)
        for _ in cluster.rehearsal.settle(cluster.ledger, EPOCH):
            pass
        return cluster.outcome(EPOCH)


@pytest.fixture
def cluster(tmp_path: Path, new_url: Callable[[str], str]) -> Iterator[Cluster]:
    """A ledger on PostgreSQL whose first epoch nobody has attested yet, and no worker."""
    with Cluster.create(tmp_path / "cluster", new_url("postgresql"), WorkedExample()) as made:
        yield made


def assert_undisturbed(cluster: Cluster, alone: dict[str, Any]) -> None:
    """Same bytes, every transition and every transaction once, books whole."""
    assert cluster.outcome(EPOCH) == alone
    with cluster.ledger.database.reading() as session:
        states = Counter(event.state for event in epochs.events(session, EPOCH))
        sent = [entry.key for entry in outbox.entries(session, cluster.ledger.domain.chain_id)]
        journal.verify_journal(session)
    assert states == {state: 1 for state in EpochState if state not in NOT_ON_THE_WAY}
    assert sent == ["epoch/0/propose/1", "epoch/0/activate/1"]


def settle_while(cluster: Cluster, disturb: Callable[[int], None]) -> None:
    """Take the epoch to FINAL; `disturb` is called again and again, with the epoch's version as it is just then."""
    done: set[str] = set()

    def arrived() -> bool:
        cluster.move_time(EPOCH, done)
        disturb(version_of(cluster))
        return cluster.state(EPOCH) is EpochState.FINAL

    cluster.wait(arrived, "the epoch becoming final while it is disturbed")


def version_of(cluster: Cluster) -> int:
    with cluster.ledger.database.reading() as session:
        standings = {each.epoch: each.version for each in epochs.all_standings(session)}
    return standings.get(EPOCH, 0)


def ringer(cluster: Cluster) -> Celery:
    return celery_app(cluster.redis.url)


@pytest.mark.row("kill at every transition")
@pytest.mark.parametrize(
    "point",
    [point if point == "seal.before_commit" else pytest.param(point, marks=pytest.mark.slow) for point in POINTS],
)
def test_a_worker_killed_at_any_point_is_replaced_without_a_trace(
    cluster: Cluster, alone: dict[str, Any], point: str
) -> None:
    """A worker's process is killed at a point, dies there again whenever it is replaced, until another worker comes."""
    (doomed,) = cluster.start_workers(1, faultpoint=point)
    if not point.startswith(("judge", "collect", "prepare")):
        cluster.hand_in(EPOCH)
        cluster.pass_cut_off(EPOCH)
        settle_until(cluster, lambda: "SIGKILL" in doomed.said())
    else:
        cluster.hand_in_without_waiting(EPOCH)
        cluster.wait(lambda: "SIGKILL" in doomed.said(), f"the worker dying at {point}")
    doomed.kill()
    cluster.start_workers(1)
    cluster.wait_for_verdicts()
    cluster.pass_cut_off(EPOCH)
    cluster.settle(EPOCH)
    assert_undisturbed(cluster, alone)


def settle_until(cluster: Cluster, condition: Callable[[], bool]) -> None:
    done: set[str] = set()

    def arrived() -> bool:
        cluster.move_time(EPOCH, done)
        return condition()

    cluster.wait(arrived, "the worker dying where it should")


@pytest.mark.row("message delivered twice")
def test_every_message_delivered_ten_times_at_once_does_its_work_once(cluster: Cluster, alone: dict[str, Any]) -> None:
    """Each bell is rung ten times at once for two workers, and each submission's twice."""
    cluster.start_workers(2)
    app, rung = ringer(cluster), set[int]()
    for digest in cluster.hand_in_without_waiting(EPOCH) * 2:
        bell.ring_submission(app, digest)
    cluster.wait_for_verdicts()
    cluster.pass_cut_off(EPOCH)

    def ten_times(version: int) -> None:
        if version not in rung:
            rung.add(version)
            for _ in range(10):
                bell.send(app, bell.ADVANCE, EPOCH, version)

    settle_while(cluster, ten_times)
    assert len(rung) >= AT_LEAST_SEEN
    assert_undisturbed(cluster, alone)


@pytest.mark.row("message stale, reordered or lost")
@pytest.mark.slow
def test_stale_future_and_lost_messages_change_nothing(cluster: Cluster, alone: dict[str, Any]) -> None:
    """Bells for versions that are past or never were, newest first, among bells that are lost."""
    cluster.start_workers(2)
    cluster.hand_in(EPOCH)
    cluster.pass_cut_off(EPOCH)
    app, broker, rounds = ringer(cluster), redis.Redis.from_url(cluster.redis.url), Counter[str]()

    def badly(version: int) -> None:
        rounds["all"] += 1
        if rounds["all"] % 40 == 1:
            rounds["lost"] += int(broker.llen("ath-ledger"))  # type: ignore[arg-type]
            broker.delete("ath-ledger")
            for wrong in range(version + 4, -1, -1):
                if wrong != version:
                    bell.send(app, bell.ADVANCE, EPOCH, wrong)

    settle_while(cluster, badly)
    broker.close()
    assert_undisturbed(cluster, alone)


@pytest.mark.row("broker restarts")
@pytest.mark.slow
def test_workers_outlive_their_broker(cluster: Cluster, alone: dict[str, Any]) -> None:
    """Redis is killed and started again while submissions wait, and once more while the epoch settles."""
    cluster.start_workers(2)
    cluster.redis.kill()
    cluster.hand_in_without_waiting(EPOCH)
    cluster.redis.start()
    cluster.wait_for_verdicts()
    cluster.pass_cut_off(EPOCH)
    cluster.settle(EPOCH, EpochState.PROPOSED)
    cluster.redis.kill()
    cluster.redis.start()
    cluster.settle(EPOCH)
    assert_undisturbed(cluster, alone)


@pytest.mark.row("broker restarts")
def test_a_broker_that_goes_under_running_tasks_leaves_no_worker_deaf(cluster: Cluster, alone: dict[str, Any]) -> None:
    """Redis is killed while every worker is in a task, so that no acknowledgement arrives, and started again."""
    cluster.start_workers(2)
    cluster.hand_in(EPOCH)
    broker = redis.Redis.from_url(cluster.redis.url)
    with cluster.ledger.database.transaction() as session:
        epochs.lock_epoch(session, EPOCH)
        cluster.pass_cut_off(EPOCH)
        cluster.wait(lambda: broker.hlen("unacked") == len(cluster.workers), "every worker being in a task")
        cluster.redis.kill()
    broker.close()
    cluster.wait(lambda: all(each.has_said("Couldn't ack") for each in cluster.workers), "the lost acknowledgements")
    cluster.redis.start()
    cluster.settle(EPOCH)
    assert_undisturbed(cluster, alone)


@pytest.mark.row("broker forgets")
def test_a_broker_that_forgets_everything_costs_a_sweep(cluster: Cluster, alone: dict[str, Any]) -> None:
    """FLUSHALL after every transition that is seen: what was rung for it is gone, and the workers' own bookkeeping."""
    cluster.start_workers(2)
    cluster.hand_in(EPOCH)
    cluster.pass_cut_off(EPOCH)
    broker, flushed = redis.Redis.from_url(cluster.redis.url), set[int]()

    def forget(version: int) -> None:
        if version not in flushed:
            flushed.add(version)
            broker.flushall()

    settle_while(cluster, forget)
    broker.close()
    assert len(flushed) >= AT_LEAST_SEEN
    assert_undisturbed(cluster, alone)


@pytest.mark.row("broker away for minutes")
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_minutes_without_a_broker_are_five_minutes(cluster: Cluster, alone: dict[str, Any]) -> None:
    """Redis is down for five minutes in which the cut-off passes; the workers come back by themselves."""
    cluster.start_workers(2)
    cluster.hand_in(EPOCH)
    cluster.redis.kill()
    cluster.pass_cut_off(EPOCH)
    time.sleep(300)
    assert cluster.state(EPOCH) is EpochState.OPEN
    assert all(worker.is_running for worker in cluster.workers)
    cluster.redis.start()
    cluster.settle(EPOCH)
    assert_undisturbed(cluster, alone)


@pytest.mark.row("task outlives its message")
@pytest.mark.slow
def test_a_task_that_outlives_its_message_is_ended_and_done_by_another(cluster: Cluster, alone: dict[str, Any]) -> None:
    """A task hangs on a row for longer than its time and its message's; it is killed, and done once when it can be."""
    cluster.environment = {"ATH_LEDGER_TASK_SECONDS": "10", "ATH_LEDGER_REDELIVERY_SECONDS": "20"}
    cluster.start_workers(2)
    cluster.hand_in(EPOCH)
    with cluster.ledger.database.transaction() as session:
        epochs.lock_epoch(session, EPOCH)
        cluster.pass_cut_off(EPOCH)
        cluster.wait(lambda: any("hard time limit" in each.said().lower() for each in cluster.workers), "a time limit")
        time.sleep(25)
    cluster.settle(EPOCH)
    assert_undisturbed(cluster, alone)


@pytest.mark.row("poison attestations")
@pytest.mark.slow
def test_poison_among_the_evidence_stops_no_worker_and_pays_nobody(cluster: Cluster, alone: dict[str, Any]) -> None:
    """Damaged, cut, nested and meaningless files are handed in between the good ones; each gets its refusal."""
    good = next(iter(cluster.network.batches(EPOCH, cluster.ledger.domain)))
    whole = write_batch(good, cluster.ledger.domain)
    poison = [
        b"",
        b"PAR1",
        b"PAR1" + bytes(5_000_000) + b"PAR1",
        whole[: len(whole) // 2],
        whole[:-40] + bytes(32) + whole[-8:],
        whole.replace(b"ath-ledger/batch/1", b"ath-ledger/batch/9"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": "ath-ledger/registration/1"}',
        b'{"format": "ath-ledger/revocation/1", "revocation": NaN}',
        b'{"format": 1e999}',
        '{"format": "\ud800"}'.encode("utf-8", "surrogatepass"),
        bytes(range(256)) * 1000,
    ]
    cluster.start_workers(2)
    digests = [receive(cluster.ledger, content).digest for content in poison]
    cluster.hand_in(EPOCH)
    assert cluster.submission_states(digests) == {"refused": len(poison)}
    assert all(worker.is_running for worker in cluster.workers)
    cluster.pass_cut_off(EPOCH)
    cluster.settle(EPOCH)
    assert_undisturbed(cluster, alone)
    for worker in cluster.workers:
        assert "Traceback" not in worker.said(), worker.said()
