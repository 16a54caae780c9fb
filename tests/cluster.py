"""A whole service in real processes: a database, a Redis server, a chain, and workers that can be killed and restarted.

    with Cluster.create(folder, database_url, network) as cluster:
        cluster.start_workers(2)
        cluster.play(EpochNumber(0))        # evidence, cut-off, workers take it to FINAL
        cluster.outcome(EpochNumber(0))     # what must not depend on who worked, where, or who was killed when

The network is played by this process, and so is time: it moves only when the database says that what belongs before has
been done, so that the same blocks come whatever the workers are and however often they die.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from servers import RedisServer

from ledger.chain.local.anvil import find_running
from ledger.chain.local.demo_time import DemoTime
from ledger.db import epochs, journal, outbox
from ledger.db.artefacts import artefacts
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.db.outbox_entry import OutboxState
from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.revocation import SignedRevocation
from ledger.evidence.storage.batch_files import write_batch
from ledger.evidence.storage.item_files import write_registration, write_revocation
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Hash32, Timestamp, to_hex
from ledger.rehearsal import DELIVERY_SECONDS, Network, Rehearsal
from ledger.settings import SETTINGS_FILE, write_settings
from ledger.steps.intake.inbox import receive, submission, waiting_submissions
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.activate import activation_key
from ledger.steps.transitions.propose import proposal_key
from ledger.workspace import DEPLOYMENT_FILE, Workspace

PATIENCE_SECONDS = 120
"""How long the cluster waits for its workers before a test fails. Never a measure of speed."""
_RUN = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"


class StuckError(AssertionError):
    """The workers did not get there in time; the message shows what they said last."""


@dataclass(slots=True)
class Worker:
    """One `ath-ledger worker`: a parent and its processes, in a process group of their own."""

    workspace: Path
    log_file: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, faultpoint: str = "") -> None:
        """Start it, or start it again; with a faultpoint its processes die there (`name@2`: the second time)."""
        command = [sys.executable, "-c", _RUN, "worker", "-w", str(self.workspace), *self.options]
        environment = {**os.environ, **self.environment, FAULTPOINT_VARIABLE: faultpoint}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End all its processes as a power cut would."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> int:
        """Ask it to stop and wait; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)

    def said(self) -> str:
        """The end of what it logged."""
        return self.log_file.read_text(errors="replace")[-3000:]

    def has_said(self, words: str) -> bool:
        """Whether it logged these words at any time."""
        return words in self.log_file.read_text(errors="replace")

    def _signal(self, how: signal.Signals) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)


@dataclass(slots=True)
class Cluster:
    """Everything a service has, and the network that is played on it."""

    folder: Path
    rehearsal: Rehearsal
    redis: RedisServer
    network: Network
    workers: list[Worker] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    """Settings of all workers started from here on, as `ATH_LEDGER_…` variables."""
    ledger: Ledger = field(init=False)

    @classmethod
    def create(cls, folder: Path, database_url: str, network: Network) -> Self:
        """Make the workspace, deploy, register the network's nodes. An empty `database_url`: the workspace's SQLite."""
        folder.mkdir(parents=True, exist_ok=True)
        redis = RedisServer(folder)
        redis.start()
        settings = {"database_url": database_url} if database_url else {}
        cluster = cls(folder, Rehearsal.create(folder / "workspace", network, **settings), redis, network)
        cluster.ledger = cluster.rehearsal.deploy(lambda _: None)
        cluster.rehearsal.register(cluster.ledger)
        return cluster

    @property
    def rpc_url(self) -> str:
        """Where the chain is asked."""
        running = find_running(self.rehearsal.workspace.chain_folder)
        assert running is not None
        return running.rpc_url

    def machine(self) -> Path:
        """A workspace for a worker: on PostgreSQL a machine of its own, which shares nothing but addresses and keys."""
        home = self.rehearsal.workspace
        url = home.settings.database_url
        if not url:
            return home.root  # a SQLite file is shared by the processes of one machine
        place = self.folder / f"machine-{len(self.workers)}"
        place.mkdir()
        shutil.copytree(home.root / "keys", place / "keys")
        shutil.copyfile(home.deployment_file, place / DEPLOYMENT_FILE)
        for name in ("evidence", "artefacts", "chain", "logs"):
            (place / name).mkdir()
        kept = home.settings.model_dump(include={"clock", "publisher_keystore", "publisher_password_file"})
        write_settings(place, {**kept, "database_url": url})
        assert (place / SETTINGS_FILE).is_file()
        return place

    def start_workers(self, count: int, *, rpc_url: str = "", faultpoint: str = "") -> list[Worker]:
        """Start so many more workers. `rpc_url`: another way to the chain, as a proxy that misbehaves."""
        started = []
        for _ in range(count):
            worker = Worker(
                workspace=self.machine(),
                log_file=self.folder / f"worker-{len(self.workers)}.log",
                options=("--concurrency", "1", "--sweep-seconds", "1"),
                environment={
                    "ATH_LEDGER_CELERY_BROKER_URL": self.redis.url,
                    "ATH_LEDGER_RPC_URL": rpc_url or self.rpc_url,
                    **self.environment,
                },
            )
            worker.start(faultpoint)
            self.workers.append(worker)
            started.append(worker)
        return started

    def play(self, epoch: EpochNumber, until: EpochState = EpochState.FINAL) -> None:
        """The whole epoch: its evidence is handed in, its cut-off passes, the workers take it to a state."""
        self.hand_in(epoch)
        self.pass_cut_off(epoch)
        self.settle(epoch, until)

    def hand_in(self, epoch: EpochNumber) -> list[Hash32]:
        """The epoch passes and every verifier hands in what it signed; the workers judge it. Digests of the content."""
        digests = self.hand_in_without_waiting(epoch)
        self.wait_for_verdicts()
        return digests

    def wait_for_verdicts(self) -> None:
        """Until nothing that was handed in waits."""
        self.wait(lambda: not waiting_submissions(self.ledger), "judging what was handed in")

    def hand_in_without_waiting(self, epoch: EpochNumber) -> list[Hash32]:
        """The epoch passes and every verifier hands in what it signed. Digests of the content."""
        ledger = self.ledger
        self.jump(Timestamp(ledger.calendar.end(epoch) + DELIVERY_SECONDS))
        block = ledger.settlement().connection.last_block_before(ledger.calendar.start(epoch))
        drawn_by = None if block is None else block.hash
        domain = ledger.domain
        signed: list[Any] = [*self.network.batches(epoch, domain, drawn_by), *self.network.revocations(epoch, domain)]
        return [receive(ledger, _file_of(each, ledger)).digest for each in signed]

    def pass_cut_off(self, epoch: EpochNumber) -> None:
        """Time passes the epoch's cut-off."""
        self.jump(Timestamp(self.ledger.calendar.cut_off(epoch) + DELIVERY_SECONDS))

    def settle(self, epoch: EpochNumber, until: EpochState = EpochState.FINAL) -> None:
        """Move time whenever the epoch waits for it, until the workers have taken it to a state."""
        done: set[str] = set()

        def arrived() -> bool:
            self.move_time(epoch, done)
            return self.state(epoch) is until

        self.wait(arrived, f"epoch {epoch} becoming {until}")

    def state(self, epoch: EpochNumber) -> EpochState:
        with self.ledger.database.reading() as session:
            return epochs.state_of(session, epoch)

    def outcome(self, epoch: EpochNumber) -> dict[str, Any]:
        """The epoch's header, seal and files: what must not depend on who worked."""
        with self.ledger.database.reading() as session:
            sealed = dict(epochs.facts(session, epoch, EpochState.SEALED))
            seal = journal.find(session, f"epoch/{epoch}/seal/{epochs.current(session, epoch).attempt}")
            files = {each.kind: to_hex(each.content_digest) for each in artefacts(session, epoch=epoch)}
        assert seal is not None
        return {"sealed": sealed, "seal": seal.canonical, "files": files}

    def submission_states(self, digests: list[Hash32]) -> dict[str, int]:
        """How many of these submissions stand how."""
        states = [str(submission(self.ledger, digest).state) for digest in digests]
        return {state: states.count(state) for state in sorted(set(states))}

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Look until it holds. StuckError with the workers' last words."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                words = "\n".join(f"--- worker {n} ---\n{each.said()}" for n, each in enumerate(self.workers))
                raise StuckError(f"waited {PATIENCE_SECONDS} s for {what}\n{words}")
            time.sleep(0.05)

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            worker.kill()
        self.ledger.close()
        self.rehearsal.stop()
        self.redis.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def move_time(self, epoch: EpochNumber, done: set[str]) -> None:
        """One block, or one jump, where the next thing waits for it; each once."""
        with self.ledger.database.reading() as session:
            attempt = epochs.current(session, epoch).attempt if self._is_named(session, epoch) else 1
            entries = [outbox.find_entry(session, key(epoch, attempt)) for key in (proposal_key, activation_key)]
        for entry in entries:
            if entry is not None and entry.state is OutboxState.MINED and f"mined {entry.key}" not in done:
                done.add(f"mined {entry.key}")
                self._time().mine()
        proposal, activation = entries
        if proposal is not None and proposal.state is OutboxState.FINAL and activation is None and "window" not in done:
            pending = self.ledger.settlement().rewards_ledger.pending("latest")
            assert pending is not None
            done.add("window")
            self.jump(Timestamp(pending.activates_at))

    def _is_named(self, session: Any, epoch: EpochNumber) -> bool:
        return any(each.epoch == epoch for each in epochs.all_standings(session))

    def jump(self, at: Timestamp) -> None:
        """Move time to a second, if it has not come yet."""
        if self.ledger.clock.now() < at:
            self._time().jump_to(at)

    def _time(self) -> DemoTime:
        return DemoTime(self.ledger.settlement().connection, kept_in=self.rehearsal.workspace.chain_folder)


def _file_of(item: SignedBatch | SignedRegistration | SignedRevocation, ledger: Ledger) -> bytes:
    match item:
        case SignedBatch():
            return write_batch(item, ledger.domain)
        case SignedRegistration():
            return write_registration(item, ledger.domain)
        case SignedRevocation():
            return write_revocation(item, ledger.domain)


def workspace_of(worker: Worker) -> Workspace:
    """The workspace a worker works on."""
    return Workspace.at(worker.workspace)
