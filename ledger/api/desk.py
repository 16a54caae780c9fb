"""What every request of one process shares: the ledger, opened once, the lanes, and who answers on which."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from fastapi import Request

from ledger.api.chain import ReadingChain
from ledger.api.limits.work import Lane
from ledger.steps.checkup.figures import Figures
from ledger.steps.checkup.health import Readiness
from ledger.steps.ledger import Ledger
from ledger.workspace import Workspace

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment

_Answer = TypeVar("_Answer")
# Together fewer than the connections of the pool. Few where threads reckon: Python lets one at a time, and three that
# take turns answer later than one after the other.
QUICK_THREADS, QUICK_WAITING = 2, 120
EXPLAIN_THREADS, EXPLAIN_WAITING = 1, 120
SLOW_THREADS, SLOW_WAITING, SLOW_SHARE = 2, 8, 4
DERIVE_THREADS, DERIVE_WAITING, DERIVE_SHARE = 2, 100, 50
CHAIN_THREADS, CHAIN_WAITING = 2, 6
INTAKE_THREADS, INTAKE_WAITING, INTAKE_SHARE = 2, 16, 4


@dataclass(slots=True)
class Desk:
    """One process's open ledger. Reads go through a read-only connection; the other one only takes evidence in."""

    place: Workspace
    deployment: "Deployment"
    """The contracts this ledger settles through."""
    chain: ReadingChain
    ledger: Ledger
    quick: Lane = field(default_factory=lambda: Lane("quick", threads=QUICK_THREADS, waiting=QUICK_WAITING))
    slow: Lane = field(
        default_factory=lambda: Lane("slow", threads=SLOW_THREADS, waiting=SLOW_WAITING, share=SLOW_SHARE)
    )
    intake: Lane = field(
        default_factory=lambda: Lane("intake", threads=INTAKE_THREADS, waiting=INTAKE_WAITING, share=INTAKE_SHARE)
    )
    explaining: Lane = field(default_factory=lambda: Lane("explain", threads=EXPLAIN_THREADS, waiting=EXPLAIN_WAITING))
    """For explanations: the quick answer that reckons most."""
    deriving: Lane = field(
        default_factory=lambda: Lane("derive", threads=DERIVE_THREADS, waiting=DERIVE_WAITING, share=DERIVE_SHARE)
    )
    """Where the first explanation of a large epoch waits for its index, and all that come meanwhile."""
    asking: Lane = field(default_factory=lambda: Lane("chain", threads=CHAIN_THREADS, waiting=CHAIN_WAITING, share=2))
    """For what asks the chain: a dead node holds up nobody else."""
    passing: Lane = field(default_factory=lambda: Lane("health", threads=4, waiting=60, share=8))
    """For what asks how the server is: never behind those who ask it something else."""
    readiness: Readiness = field(init=False)
    figures: Figures = field(init=False)
    _writer: Ledger | None = None
    _opening: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.readiness = Readiness(
            ledger=self.ledger, root=self.place.root, broker_url=self.place.settings.celery_broker_url
        )
        self.figures = Figures(ledger=self.ledger)

    @classmethod
    def open(cls, place: Workspace) -> "Desk":
        """Open a workspace's ledger for questions. What `Workspace.open` raises."""
        deployment = place.deployment()
        chain = ReadingChain(place, deployment)
        return cls(place, deployment, chain, _reading(place.open(read_only=True, start_chain=False), chain))

    def writer(self) -> Ledger:
        """The ledger to be written, opened with the first submission."""
        with self._opening:
            if self._writer is None:
                self._writer = _reading(self.place.open(start_chain=False), self.chain)
            return self._writer

    def snapshot(self, is_one: bool) -> AbstractContextManager[None]:
        """One snapshot for a whole answer; not where a node is waited for, which would hold a connection meanwhile."""
        return self.ledger.database.one_snapshot() if is_one else nullcontext()

    def close(self) -> None:
        """End the work and give everything back."""
        self.quick.close()
        self.slow.close()
        self.intake.close()
        self.asking.close()
        self.explaining.close()
        self.deriving.close()
        self.passing.close()
        self.ledger.close()
        if self._writer is not None:
            self._writer.close()


def _reading(ledger: Ledger, chain: ReadingChain) -> Ledger:
    """The ledger with the server's way to the chain instead of its own: one without a key."""
    ledger.connect, ledger.disconnect = chain.settlement, lambda: None
    return ledger


def desk_of(request: Request) -> Desk:
    """The process's desk."""
    desk = request.app.state.desk
    if not isinstance(desk, Desk):
        raise TypeError("the app was not opened")
    return desk


async def quickly(request: Request, work: Callable[[Desk], _Answer]) -> _Answer:
    """Do what takes milliseconds."""
    desk = desk_of(request)
    return await desk.quick.do(client_of(request), lambda: work(desk))


async def slowly(request: Request, work: Callable[[Desk], _Answer]) -> _Answer:
    """Do what may take seconds: few at once, and of each client only a share."""
    desk = desk_of(request)
    return await desk.slow.do(client_of(request), lambda: work(desk))


async def explaining(request: Request, work: Callable[[Desk], _Answer]) -> _Answer:
    """Do what reckons for milliseconds."""
    desk = desk_of(request)
    return await desk.explaining.do(client_of(request), lambda: work(desk))


async def deriving(request: Request, work: Callable[[Desk], _Answer]) -> _Answer:
    """Do what an answer has to wait for, where only such answers wait."""
    desk = desk_of(request)
    return await desk.deriving.do(client_of(request), lambda: work(desk))


async def asking_chain(request: Request, work: Callable[[Desk], _Answer]) -> _Answer:
    """Do what asks a node of the chain."""
    desk = desk_of(request)
    return await desk.asking.do(client_of(request), lambda: work(desk))


async def in_passing(request: Request, work: Callable[[Desk], _Answer]) -> _Answer:
    """Look how the server is."""
    desk = desk_of(request)
    return await desk.passing.do(client_of(request), lambda: work(desk))


def client_of(request: Request) -> str:
    """Who asks, as far as limits go."""
    return str(request.scope.get("ledger.client") or (request.client.host if request.client else "unknown"))
