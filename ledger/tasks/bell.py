"""The one task: look at an epoch and take at most one step.

A message is delivered twice, late, or never; none of that matters. A stale one (another version) is dropped, a lost
one is rung again by the sweep, and the step itself locks the epoch in the database.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery

from ledger.db import epochs
from ledger.model.epoch import EpochState
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber
from ledger.steps.drive import next_epoch, state_of, step
from ledger.steps.follow import follow
from ledger.steps.ledger import Ledger
from ledger.steps.transition import Moved, StepResult, Waiting

Told = Callable[[StepResult | LedgerError], None]
TASK = "ledger.advance"
_BEFORE_SETTLEMENT = frozenset({EpochState.OPEN, EpochState.FROZEN})


def celery_app(broker_url: str) -> Celery:
    """An app that only rings: JSON messages, acknowledged late, one at a time, results ignored."""
    app = Celery("ath-ledger", broker=broker_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=600,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(broker_url),
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def _transport_options(broker_url: str) -> dict[str, Any]:
    """Memory is polled; Redis gives a message to another worker after an hour, far above the time limit."""
    return {"polling_interval": 0.02} if broker_url.startswith("memory:") else {"visibility_timeout": 3600}


def register(app: Celery, ledger: Ledger, told: Told) -> None:
    """Let the app's worker advance this ledger; `told` hears every result and every error."""

    @app.task(name=TASK, shared=False)  # type: ignore[untyped-decorator]
    def advance(epoch: int, expected_version: int) -> None:
        try:
            result = advance_once(ledger, EpochNumber(epoch), expected_version)
        except LedgerError as error:
            told(error)
            return
        if result is None:
            return
        told(result)
        if isinstance(result, Moved):
            ring(app, ledger)


def advance_once(ledger: Ledger, epoch: EpochNumber, expected_version: int) -> StepResult | None:
    """One step, unless the epoch has moved since the bell was rung.

    While the epoch waits for its evidence nothing is sent, but claims, retirements and corrections go on: they are
    taken into the books here.
    """
    if _version(ledger, epoch) != expected_version:
        return None
    result = step(ledger, epoch)
    if isinstance(result, Waiting) and result.state in _BEFORE_SETTLEMENT:
        follow(ledger)
    return result


def ring(app: Celery, ledger: Ledger) -> None:
    """Ring for the first epoch that is not final. Ringing too often is harmless."""
    epoch = next_epoch(ledger)
    state_of(ledger, epoch)
    arguments: list[Any] = [epoch, _version(ledger, epoch)]
    app.send_task(TASK, args=arguments)


def _version(ledger: Ledger, epoch: EpochNumber) -> int:
    with ledger.database.reading() as session:
        return epochs.current(session, epoch).version
