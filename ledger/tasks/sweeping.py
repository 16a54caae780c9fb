"""The sweep's timer: rings now and then for a look at all that could go on. Any number of timers is harmless."""

import threading
from types import TracebackType
from typing import Self

from celery import Celery

from ledger.tasks import bell

SWEEP_SECONDS = 30


class SweepTimer:
    """Rings for a sweep at once and every so many seconds, in a thread of its own."""

    def __init__(self, app: Celery, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-sweep", daemon=True)

    def start(self) -> None:
        """Begin to ring."""
        self._thread.start()

    def stop(self) -> None:
        """Ring no more; twice is harmless."""
        self._stopped.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while True:
            # a sweep that nobody came to in time is of no use: the next one looks at the same things
            bell.send(self._app, bell.SWEEP, expires=2 * self._seconds)
            if self._stopped.wait(self._seconds):
                return
