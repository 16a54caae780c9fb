"""A worker of its own: a parent that talks to the broker, and processes that work, each with the ledger opened anew.

Killed at any moment it loses nothing; told to stop (SIGTERM) it finishes what it is at.
"""

import os
import warnings
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.exceptions import SecurityWarning

from ledger.model.errors import UsageError
from ledger.steps.ledger import Ledger
from ledger.tasks.app import celery_app
from ledger.tasks.sweeping import SweepTimer
from ledger.tasks.work import Told, register
from ledger.workspace import Workspace


class NoBrokerError(UsageError):
    """A worker needs a broker that its bells can reach it through."""

    code = "worker.no-broker"
    default_hint = 'set celery_broker_url = "redis://HOST:6379/0" in settings.toml, or use: ath-ledger run'


class LedgerOfProcess:
    """The workspace's ledger as this process has it: opened at first use, never carried over a fork."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._ledger: Ledger | None = None
        self._process = 0

    def __call__(self) -> Ledger:
        if self._ledger is None or self._process != os.getpid():
            self._ledger, self._process = self._workspace.open(), os.getpid()
        return self._ledger

    def close(self) -> None:
        """Give back what this process opened."""
        if self._ledger is not None and self._process == os.getpid():
            self._ledger.close()
        self._ledger = None


def app_of(workspace: Workspace) -> Celery:
    """The app on the workspace's broker. NoBrokerError for one inside a process, which nobody else can reach."""
    settings = workspace.settings
    if settings.celery_broker_url.startswith("memory:"):
        raise NoBrokerError("the broker is memory://, which only its own process can reach")
    if settings.redelivery_seconds <= settings.task_seconds:
        raise UsageError(
            f"redelivery_seconds = {settings.redelivery_seconds} is not longer than task_seconds ="
            f" {settings.task_seconds}: a message would go to a second worker while the first still works",
            hint="set both in settings.toml; see docs/reference/settings.md",
        )
    return celery_app(
        settings.celery_broker_url,
        task_seconds=settings.task_seconds,
        redelivery_seconds=settings.redelivery_seconds,
    )


def work(
    workspace: Workspace,
    told: Told,
    *,
    concurrency: int,
    sweep_seconds: float,
    begin: Callable[[], None] = lambda: None,
) -> int:
    """Work until told to stop; the exit code. `begin` runs in every process before its first task."""
    app = app_of(workspace)
    workspace.open_database(read_only=True).close()  # fail here, clearly, rather than in every task
    opened, timer = LedgerOfProcess(workspace), SweepTimer(app, sweep_seconds)
    register(app, opened, told, reconciles=True)

    def connected(signal: Any, act: Callable[[], object]) -> None:
        signal.connect(lambda **_: act(), weak=False)

    connected(signals.setup_logging, lambda: None)  # being connected keeps Celery from setting up its own
    connected(signals.worker_process_init, begin)
    connected(signals.worker_process_shutdown, opened.close)
    connected(signals.worker_ready, timer.start)
    connected(signals.worker_shutting_down, timer.stop)
    # only JSON is accepted, so a worker of the root user runs no code that a message brings
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = app.Worker(
        pool="prefork",
        concurrency=concurrency,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
        loglevel="WARNING",
    )
    with workspace.writing():
        worker.start()
    return int(worker.exitcode or 0)
