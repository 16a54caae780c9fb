"""What every request of one process shares: the ledger, opened once, the lanes, and who answers on which."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from fastapi import Request

from ledger.api.limits.work import Lane
from ledger.steps.ledger import Ledger, Settlement
from ledger.workspace import Workspace

if TYPE_CHECKING:
    from ledger.chain.deployment import Deployment

_Answer = TypeVar("_Answer")
QUICK_THREADS, QUICK_WAITING = 8, 120
SLOW_THREADS, SLOW_WAITING, SLOW_SHARE = 2, 8, 4


@dataclass(slots=True)
class Desk:
    """One process's open ledger. Reads go through a read-only connection; the other one only takes evidence in."""

    place: Workspace
    ledger: Ledger
    quick: Lane = field(default_factory=lambda: Lane("quick", threads=QUICK_THREADS, waiting=QUICK_WAITING))
    slow: Lane = field(
        default_factory=lambda: Lane("slow", threads=SLOW_THREADS, waiting=SLOW_WAITING, share=SLOW_SHARE)
    )
    _writer: Ledger | None = None
    _opening: Lock = field(default_factory=Lock)

    @classmethod
    def open(cls, place: Workspace) -> "Desk":
        """Open a workspace's ledger for questions. What `Workspace.open` raises."""
        return cls(place, place.open(read_only=True, start_chain=False))

    @property
    def deployment(self) -> "Deployment":
        """The contracts this ledger settles through."""
        return self.place.deployment()

    def settlement(self) -> Settlement:
        """The chain side, connected once. Raises the chain's own errors; never starts a chain."""
        with self._opening:
            return self.ledger.settlement()

    def writer(self) -> Ledger:
        """The ledger to be written, opened with the first submission."""
        with self._opening:
            if self._writer is None:
                self._writer = self.place.open(start_chain=False)
            return self._writer

    def close(self) -> None:
        """End the work and give everything back."""
        self.quick.close()
        self.slow.close()
        self.ledger.close()
        if self._writer is not None:
            self._writer.close()


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


def client_of(request: Request) -> str:
    """Who asks, as far as limits go."""
    return str(request.scope.get("ledger.client") or (request.client.host if request.client else "unknown"))
