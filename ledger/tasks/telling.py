"""What came of a task, as log lines."""

from typing import assert_never

from ledger.db.submissions import Submission, SubmissionState
from ledger.model.errors import LedgerError
from ledger.model.units import to_hex
from ledger.steps.transitions.transition import Done, Moved, Waiting
from ledger.tasks.work import Heard
from ledger.telemetry.logs import failure, log


def tell(heard: Heard) -> None:
    """Log what a worker did, or why it could not."""
    match heard:
        case Moved():
            log.info("epoch.moved", epoch=heard.epoch, state=heard.state.value, what=heard.what)
        case Waiting():
            log.debug("epoch.waiting", epoch=heard.epoch, state=heard.state.value, what=heard.why, until=heard.until)
        case Done():
            log.debug("epoch.done", epoch=heard.epoch)
        case Submission():
            told = {"batch": to_hex(heard.uid)} if heard.uid else {}
            digest, code = to_hex(heard.digest), heard.code
            if heard.state is SubmissionState.REFUSED:
                log.info("submission.refused", submission=digest, code=code, what=heard.detail, **told)
            else:
                log.info("submission.admitted", submission=digest, epoch=heard.epoch, **told)
        case LedgerError():
            level = log.warning if heard.retryable else log.error
            level("task.failed", **failure(heard))
        case _:
            assert_never(heard)
