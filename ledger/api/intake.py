"""Taking evidence in: kept first, judged by a worker where there is a broker, else by a thread of this process."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from ledger.api.desk import Desk
from ledger.model.errors import LedgerError
from ledger.model.units import Hash32
from ledger.steps.intake.entitled import require_entitled
from ledger.steps.intake.inbox import Submission, SubmissionState, judge_submission, receive, waiting_submissions

if TYPE_CHECKING:
    from celery import Celery

_LOG: Final = logging.getLogger("ledger.api")
_AT_START: Final = 1_000


class Intake:
    """One process's door for evidence."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._bell: Celery | None = None
        self._judge: ThreadPoolExecutor | None = None
        if desk.place.settings.celery_broker_url.startswith("memory:"):
            self._judge = ThreadPoolExecutor(1, thread_name_prefix="api-judge")

    def take(self, content: bytes) -> Submission:
        """Keep the content and have it judged soon. Refuses what nobody could have signed; what `receive` raises."""
        require_entitled(self._desk.ledger, self._desk.deployment, content)
        received = receive(self._desk.writer(), content)
        if received.state is SubmissionState.RECEIVED:
            self._ring(received.digest)
        return received

    def judge_left(self) -> None:
        """Have judged what a process that ended left waiting; where workers do it, their sweep does."""
        if self._judge is not None:
            for each in waiting_submissions(self._desk.ledger, limit=_AT_START):
                self._ring(each.digest)

    def close(self) -> None:
        """Judge nothing more; what waits is kept."""
        if self._judge is not None:
            self._judge.shutdown(wait=True, cancel_futures=True)

    def _ring(self, digest: Hash32) -> None:
        if self._judge is not None:
            self._judge.submit(self._judged, digest)
            return
        from ledger.tasks.bell import ring_submission
        from ledger.tasks.processes import app_of

        if self._bell is None:
            self._bell = app_of(self._desk.place)
        ring_submission(self._bell, digest)

    def _judged(self, digest: Hash32) -> Any:
        begun = time.monotonic()
        try:
            judged = judge_submission(self._desk.writer(), digest)
        except LedgerError as error:
            _LOG.warning("a submission waits on: %s", error)
        except Exception:  # noqa: BLE001 - the edge of its thread: the submission is kept and judged again later
            _LOG.exception("a submission could not be judged")
        else:
            _LOG.info("judged a submission: %s in %d ms", judged.state, (time.monotonic() - begun) * 1000)
