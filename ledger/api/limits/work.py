"""Work in threads, so much at once and no more: who comes when all places are taken is told to come again.

Two lanes keep a few slow questions from standing before many quick ones; in the slow lane one client has only a share.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from ledger.api.problems import HttpError, ServerBusyError

_Answer = TypeVar("_Answer")


class ShareTakenError(HttpError):
    """One client asks for too much slow work at once."""

    code = "rate.share"
    status = HTTPStatus.TOO_MANY_REQUESTS
    retryable = True
    default_hint = "wait for the answers that are on their way"
    retry_after = 2


class Lane:
    """Threads that answer, with a short queue before them. Used from one event loop."""

    def __init__(self, name: str, *, threads: int, waiting: int, share: int | None = None) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"api-{name}")
        self._places = threads + waiting
        self._share = self._places if share is None else share
        self._taken: dict[str, int] = {}
        self._inside = 0

    async def do(self, client: str, work: Callable[[], _Answer]) -> _Answer:
        """What the work returns or raises. ServerBusyError, ShareTakenError."""
        if self._inside >= self._places:
            raise ServerBusyError(f"{self._inside} requests are being answered or wait")
        if self._taken.get(client, 0) >= self._share:
            raise ShareTakenError(f"{self._share} slow requests of yours are on their way")
        self._inside += 1
        self._taken[client] = self._taken.get(client, 0) + 1
        loop = asyncio.get_running_loop()
        future = self._executor.submit(work)
        # a place is free when the thread is, not when the asker stops waiting
        future.add_done_callback(lambda _done: _told(loop, lambda: self._leave(client)))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let what is being answered end, and nothing else begin."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _leave(self, client: str) -> None:
        self._inside -= 1
        left = self._taken[client] - 1
        if left:
            self._taken[client] = left
        else:
            del self._taken[client]


def _told(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
