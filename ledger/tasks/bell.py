"""Ringing: which messages there are, and sending them. A message names what to look at; the database says what to do.

It is delivered twice, late, or never; none of that matters. A stale one (another version) is dropped, a lost one is
rung again by the sweep, and exclusion is the database's.
"""

from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError

from ledger.db import epochs
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Hash32
from ledger.steps.checkup.broker import BrokerUnreachableError
from ledger.steps.drive import next_epoch, state_of, step
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.transition import StepResult, Waiting
from ledger.telemetry.logs import failure, log
from ledger.telemetry.secrets import redacted

ADVANCE: Final = "ledger.advance"
"""Take at most one step of an epoch: (epoch, expected version)."""
VERIFY: Final = "ledger.verify"
"""Judge a submission: (digest of its content, hex)."""
PREPARE: Final = "ledger.prepare"
"""Verify one shard of an epoch's registrations ahead: (epoch, number of the shard)."""
SEND: Final = "ledger.send"
FOLLOW: Final = "ledger.follow"
RECONCILE: Final = "ledger.reconcile"
SWEEP: Final = "ledger.sweep"
"""Ring for all that could go on."""

_BEFORE_SETTLEMENT = frozenset({EpochState.OPEN, EpochState.FROZEN})


def ring(app: Celery, ledger: Ledger) -> None:
    """Ring for the first epoch that is not final. Ringing too often is harmless."""
    epoch = next_epoch(ledger)
    state_of(ledger, epoch)
    send(app, ADVANCE, epoch, _version(ledger, epoch))


def ring_submission(app: Celery, digest: Hash32) -> None:
    """Ring for a submission that waits for its verdict."""
    send(app, VERIFY, digest.hex())


def send(app: Celery, task: str, *arguments: int | str, expires: float | None = None) -> None:
    """Send a message; one that cannot be sent is lost like any other, and rung again by the sweep."""
    try:
        app.send_task(task, args=arguments, expires=expires, retry=False)
    except OperationalError as error:
        away = BrokerUnreachableError(redacted(str(error)))
        log.warning("bell.lost", task=task, **failure(away))


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


def _version(ledger: Ledger, epoch: EpochNumber) -> int:
    with ledger.database.reading() as session:
        return epochs.current(session, epoch).version
