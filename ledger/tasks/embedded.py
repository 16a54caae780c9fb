"""A Celery worker inside this process: no services, the same task, messages that really are serialised."""

import threading
import warnings
from types import TracebackType
from typing import Self

from celery import Celery
from celery.exceptions import SecurityWarning

_STOP_SECONDS = 10


class EmbeddedWorker:
    """Runs the app's worker in a thread for the length of a `with` block."""

    def __init__(self, app: Celery) -> None:
        # only JSON is accepted, so a worker of the root user runs no code that a message brings
        warnings.filterwarnings("ignore", category=SecurityWarning)
        self._worker = app.Worker(
            pool="solo",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
            loglevel="ERROR",
        )
        self._thread = threading.Thread(target=self._worker.start, name="ledger-worker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.stop()
        self._thread.join(_STOP_SECONDS)
