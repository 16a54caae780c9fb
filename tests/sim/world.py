"""One run: chaos first, then calm in which everything must drain, then the oracles.

The world chooses one action after the other: a message to an idle worker, a held worker goes on, a block, a wait, a
person, a fault. In the calm there are no faults and one worker, and the ledger must reach its end by itself: a run
that does not is stuck, which is a violation like any other.
"""

import random
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

from ledger.chain.node.connection import Connection, Finality
from ledger.chain.node.endpoints import Endpoints
from ledger.chain.node.transport import Transport
from ledger.chain.sending.fees import FeePolicy
from ledger.db import faultpoint
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.storage.store import FolderStore
from ledger.model.errors import LedgerError
from ledger.steps.kept.artefacts import ArtefactFolder
from ledger.steps.ledger import Ledger
from ledger.steps.settlement import Settlement
from ledger.tasks import bell, work

from . import oracles, stage
from .books import SimDatabase
from .broker import Broker, Message, Tasks
from .chain import BLOCK_SECONDS, GWEI, NodeRefusalError
from .clock import SimClock, WaitingTime
from .faults import Faults
from .people import People
from .rpc import Node
from .scenario import Scenario
from .worker import KilledError, Task, Worker

CALM_ROUNDS: Final = 40
"""How many rounds of the calm a run may need; undisturbed ones need a fifth."""
SWEEP: Final[Message] = (bell.SWEEP, ())
_PLACE: Final = "http://simulation"
_RUNS: Final = count()


class World:
    """Everything of one run, drawn from its seed. `undisturbed` leaves the faults out."""

    def __init__(self, seed: int, *, scenario: Scenario | None = None, undisturbed: bool = False) -> None:
        self.rng = random.Random(seed)
        self.scenario = scenario or Scenario.draw(self.rng)
        self.faults = Faults(self.rng, ("deep reorganisation",) if self.scenario.is_deep else ())
        self.trace: list[tuple[Any, ...]] = []
        self.current: Worker | None = None
        self.chain = stage.history(self.scenario.epochs).copied(self.rng)
        self.history = len(self.chain.blocks)
        self.clock = SimClock(stage.start_of_run(self.scenario.epochs))
        self.broker = Broker(rng=self.rng, fault=self._fault_of_message)
        self.folder = stage.folder() / f"run-{next(_RUNS)}"
        self.database = SimDatabase(stage.engine(), stage.reading_engine(), self.moment, self.strikes)
        self.people = People(self)
        self.is_calm = self.is_undisturbed = undisturbed
        self.blocks_left = 0
        """Blocks that reorganisations took away."""
        if undisturbed:
            self.faults.end()
        self.workers = [Worker(number, self.open_ledger) for number in range(3)]
        self.own_ledger: Ledger | None = None
        self.grown = oracles.Grown()

    # what workers are made of

    def open_ledger(self, folder: Path | None = None) -> Ledger:
        """A process's ledger, its files in the run's folder; it connects on first use."""
        deployment = stage.deployment(self.scenario.depth)
        return Ledger(
            database=self.database,
            evidence=FolderStore(self.folder / "evidence"),
            artefacts=ArtefactFolder(folder or self.folder),
            clock=self.clock,
            calendar=deployment.calendar,
            domain=Domain(chain_id=stage.CHAIN_ID, verifying_contract=stage.ADDRESSES["RewardsLedger"]),
            connect=self._settlement,
        )

    def _settlement(self) -> Settlement:
        deployment = stage.deployment(self.scenario.depth)
        node: Any = Node(self.chain, stage.CHAIN_ID, self.interrupt)
        connection = Connection(Endpoints((_PLACE,), transports=[Transport(_PLACE, node)]))
        deployment.check(connection)
        return Settlement(
            connection=connection,
            deployment=deployment,
            finality=Finality(depth=self.scenario.depth),
            publisher=stage.SimSigner(stage.PUBLISHER),
            fees=FeePolicy(),
        )

    # moments

    def moment(self, place: str, is_inside: bool = False) -> None:
        """A worker is here: it may be killed, or held while the world goes on."""
        worker = self.current
        if worker is None or self.is_calm:
            return
        if self.faults.strikes("kill"):
            self.note("kill", worker.number, place)
            raise KilledError
        if not is_inside and not self.database.open_transactions and self.faults.strikes("switch"):
            self.note("hold", worker.number, place)
            worker.hold()

    def strikes(self, kind: str) -> bool:
        """Whether a fault strikes the worker that moves."""
        if self.current is None or self.is_calm or not self.faults.strikes(kind):
            return False
        self.note("fault", self.current.number, kind)
        return True

    def interrupt(self, method: str) -> str | None:
        """A worker asks the node."""
        if self.database.open_transactions:
            raise oracles.ViolationError("lock", f"{method} is asked while the database is locked")
        self.moment(method)
        if self.current is None or self.is_calm:
            return None
        fault = self.faults.of_call(method)
        if fault is not None:
            self.note("fault", self.current.number, f"{method}: {fault}")
        return fault

    def slept(self) -> None:
        """A worker waits for a receipt: a block may come."""
        if self.is_calm or self.rng.random() < 0.5:
            self.mine()
        self.moment("sleep")

    def note(self, *what: Any) -> None:
        """Add to the trace."""
        self.trace.append(what)

    def _fault_of_message(self) -> str | None:
        if self.is_calm:
            return None
        return next(
            (kind for kind in ("message lost", "message doubled", "message overtaken") if self.faults.strikes(kind)),
            None,
        )

    # the run

    def run(self) -> None:
        """Play it all. Raises ViolationError with the first oracle that is broken."""
        stage.lay_out(self.scenario.epochs, self.folder, self.open_ledger)
        heard = faultpoint.heard
        faultpoint.heard = lambda place: self.moment(place, True)
        try:
            with stage.stand_ins(WaitingTime(self.slept)):
                if not self.is_calm:
                    self.chaos()
                self.calm()
                oracles.check_end(self)
        finally:
            faultpoint.heard = heard
            for worker in self.workers:
                worker.end()
            self.database.end()
            shutil.rmtree(self.folder, ignore_errors=True)

    def chaos(self) -> None:
        """As many actions as the scenario has, with faults between them."""
        actions: list[tuple[Callable[[], None], int]] = [
            (self.deliver, 10), (self.go_on, 8), (self.mine_some, 6), (self.sweep, 3), (self.wait, 1),
            (self.people.act, 4),
        ]  # fmt: skip
        names, weights = zip(*actions, strict=True)
        for _ in range(self.scenario.actions):
            self.rng.choices(names, weights)[0]()
            self.misfortune()
            self.grown.check(stage.live())
        self.is_calm = True
        self.faults.end()
        for worker in self.workers:
            worker.kill()
        self.note("calm")

    def calm(self) -> None:
        """Everything drains: the ledger by itself, people where only they may decide. The broker starts empty."""
        self.broker.queue.clear()
        self.clock.skew, self.chain.base_fee = 0, GWEI
        ledger = self.own_ledger = self.open_ledger()
        for _ in range(CALM_ROUNDS):
            self.broker.post(SWEEP)
            while self.broker.queue:
                message = self.broker.take()
                self.perform(ledger, f"{message}", self.task_of(message))
            self.perform(ledger, "resume", self.people.resume)
            self.people.finish(ledger)
            if oracles.is_drained(self):
                return
            due = self.chain.head.state.activates_at
            for _ in range(self.scenario.depth + 1):
                self.mine()
            if due > self.chain.head.timestamp:
                self.clock.true = due
                self.mine()
        raise oracles.ViolationError("stuck", oracles.standing(self))

    def perform(self, ledger: Ledger, what: str, task: Task) -> None:
        """A task in the calm; its refusals are noted, and the next round tries again."""
        self.note("calm task", what)
        try:
            task(ledger)
        except LedgerError as refused:
            self.note("refused", f"{type(refused).__name__}: {refused}")

    # actions

    def deliver(self) -> None:
        """Give a message to an idle worker; where there is none, the beat comes round."""
        idle = [worker for worker in self.workers if not worker.doing]
        if not self.broker.queue:
            self.sweep()
        if idle and self.broker.queue:
            message = self.broker.take()
            self.begin(self.rng.choice(idle), f"{message}", self.task_of(message), message)

    def go_on(self) -> None:
        """Let a held worker go on."""
        held = [worker for worker in self.workers if worker.doing]
        if held:
            worker = self.rng.choice(held)
            self.note("go on", worker.number, worker.doing)
            self.move(worker, worker.resume)
        else:
            self.deliver()

    def sweep(self) -> None:
        """The beat: somebody is to look for what is stuck."""
        self.broker.post(SWEEP)

    def mine(self) -> None:
        """A block, in its usual time."""
        self.clock.true = max(self.clock.true + BLOCK_SECONDS, self.chain.head.timestamp)
        block = self.chain.mine(self.clock.true, is_empty=not self.is_calm and self.faults.strikes("slow network"))
        self.note("block", block.number, block.hash.hex()[:8], [sent.tx_hash.hex()[:8] for sent in block.transactions])

    def mine_some(self) -> None:
        """A few blocks."""
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            self.mine()

    def wait(self) -> None:
        """Time passes without a block."""
        self.clock.true += self.rng.choice((30, 60, 400))

    def begin(self, worker: Worker, what: str, task: Task, message: Message | None = None) -> None:
        """Start a task in an idle worker."""
        self.note("start", worker.number, what)
        worker.message = message
        self.move(worker, lambda: worker.start(what, task))

    def move(self, worker: Worker, how: Callable[[], None]) -> None:
        """Let exactly this worker move, until it is held or done."""
        self.current = worker
        try:
            how()
        finally:
            self.current = None
        if worker.doing or worker.error is None:
            return
        error, worker.error = worker.error, None
        if isinstance(error, KilledError):
            if worker.message is not None:  # acknowledged late: handed out again
                self.broker.post(worker.message)
        elif isinstance(error, LedgerError):
            self.note("refused", worker.number, f"{type(error).__name__}: {error}")
        elif isinstance(error, oracles.ViolationError):
            raise error
        else:
            raise oracles.ViolationError("surprise", f"{type(error).__name__}: {error}") from error

    def misfortune(self) -> None:
        """What happens to the whole world."""
        strikes, rng = self.faults.strikes, self.rng
        mined = len(self.chain.blocks) - self.history
        if mined and strikes("reorganisation"):
            self.reorganise(rng.randint(1, min(mined, self.scenario.depth)))
        if self.scenario.is_deep and mined > self.scenario.depth and strikes("deep reorganisation"):
            self.reorganise(rng.randint(self.scenario.depth + 1, min(mined, 3 * self.scenario.depth)))
        if self.chain.pool and strikes("mempool drop"):
            self.chain.drop(rng.choice(list(self.chain.pool)))
        if strikes("fee spike"):
            self.chain.base_fee = rng.choice((1, 5, 50, 400)) * GWEI
        if strikes("clock jump"):
            self.clock.skew = rng.choice((-3600, -90, 0, 90, 3600))
        if self.people.may_activate() and strikes("foreign activation"):
            self.people.activate()

    def reorganise(self, depth: int) -> None:
        """The chain leaves its last blocks for others, at least as many."""
        left = self.chain.reorganise(depth, depth + self.rng.randrange(3), lost=self.rng.choice((0, 0, 0.3, 1)))
        self.blocks_left += len(left)
        self.clock.true = max(self.clock.true, self.chain.head.timestamp)
        self.note("reorganisation", depth, [block.hash.hex()[:8] for block in left])

    # tasks

    def task_of(self, message: Message) -> Task:
        """What a worker does with a message: the body that `ledger.tasks.work` registers for it."""

        def task(ledger: Ledger) -> None:
            tasks: Any = Tasks(self.broker)
            work.register(tasks, lambda: ledger, lambda heard: self.note("told", message, heard))
            tasks.bodies[message[0]](*message[1])

        return task

    def submit(self, raw: bytes) -> bool:
        """Somebody's transaction goes to the network; whether the network takes it."""
        try:
            self.chain.submit(raw)
        except NodeRefusalError as refused:
            self.note("network", str(refused))
            return False
        return True
