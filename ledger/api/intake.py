"""Taking evidence in: kept first, judged by a worker where there is a broker, else by a thread of this process."""

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from ledger.api.desk import Desk
from ledger.model.errors import EnvironmentFailure, LedgerError
from ledger.model.units import Hash32
from ledger.steps.intake.entitled import require_entitled
from ledger.steps.intake.inbox import Submission, SubmissionState, judge_submission, receive, waiting_submissions

if TYPE_CHECKING:
    from celery import Celery

_LOG: Final = logging.getLogger("ledger.api")
LOOK_SECONDS: Final = 10
"""How often what waits is looked for without a bell: what could not be judged is tried again."""
_AT_ONCE: Final = 1_000


class Intake:
    """One process's door for evidence."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._bell: Celery | None = None
        self._judge = _Judge(desk) if desk.place.settings.celery_broker_url.startswith("memory:") else None

    def begin(self) -> None:
        """Have judged what a process that ended left waiting; where workers do it, their sweep does."""
        if self._judge is not None:
            self._judge.start()

    def take(self, content: bytes) -> Submission:
        """Keep the content and have it judged soon. Refuses what nobody could have signed; what `receive` raises."""
        require_entitled(self._desk.ledger, self._desk.deployment, content)
        received = receive(self._desk.writer(), content)
        if received.state is SubmissionState.RECEIVED:
            self._ring(received.digest)
        return received

    def close(self) -> None:
        """Judge nothing more; what waits is kept."""
        if self._judge is not None:
            self._judge.stop()

    def _ring(self, digest: Hash32) -> None:
        if self._judge is not None:
            self._judge.ring()
            return
        from ledger.tasks.bell import ring_submission
        from ledger.tasks.processes import app_of

        if self._bell is None:
            self._bell = app_of(self._desk.place)
        ring_submission(self._bell, digest)


class _Judge:
    """A thread that judges whatever waits, oldest first, whenever it is rung for and now and then by itself."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rung = threading.Event()
        self._is_over = False
        self._thread = threading.Thread(target=self._work, name="api-judge", daemon=True)

    def start(self) -> None:
        """Begin with what is there."""
        self._rung.set()
        self._thread.start()

    def ring(self) -> None:
        """Something came."""
        self._rung.set()

    def stop(self) -> None:
        """End what is being judged, and take nothing else up."""
        self._is_over = True
        self._rung.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._is_over:
            self._rung.wait(LOOK_SECONDS)
            self._rung.clear()
            try:
                while self._judge_some():
                    pass
            except EnvironmentFailure as error:
                _LOG.warning("submissions wait on: %s", error)
            except Exception:  # noqa: BLE001 - the edge of the thread: what waits is kept, and looked for again
                _LOG.exception("submissions wait on")

    def _judge_some(self) -> bool:
        """Judge the oldest that wait; whether any was settled. What stops one stops all raises EnvironmentFailure."""
        waiting = waiting_submissions(self._desk.ledger, limit=_AT_ONCE)
        return sum(self._is_settled(each.digest) for each in waiting if not self._is_over) > 0

    def _is_settled(self, digest: Hash32) -> bool:
        begun = time.monotonic()
        try:
            judged = judge_submission(self._desk.writer(), digest)
        except EnvironmentFailure:
            raise
        except LedgerError as error:
            _LOG.warning("a submission waits on: %s", error)
            return False
        except Exception:  # noqa: BLE001 - one that cannot be judged holds up nobody else
            _LOG.exception("a submission could not be judged")
            return False
        _LOG.info("judged a submission: %s in %d ms", judged.state, (time.monotonic() - begun) * 1000)
        return judged.state is not SubmissionState.RECEIVED
