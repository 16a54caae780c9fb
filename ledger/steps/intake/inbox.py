"""The inbox: what senders hand in is kept first and judged afterwards, by whichever worker comes to it.

A sender who was told "received" has lost nothing when every process dies a moment later. It is judged at the second it
was received, not at the one somebody came to it: a full queue makes nobody late.
"""

from sqlalchemy.orm import Session

from ledger.db import submissions
from ledger.db.faultpoint import faultpoint
from ledger.db.submissions import Submission, SubmissionState
from ledger.model.units import Hash32, Timestamp
from ledger.steps.intake.collect import is_revocation, submit
from ledger.steps.ledger import Ledger

_MOST_OF_A_REVOCATION = 64 * 1024

__all__ = [
    "Submission",
    "SubmissionState",
    "judge_submission",
    "judge_waiting",
    "receive",
    "submission",
    "waiting_submissions",
]


def receive(ledger: Ledger, content: bytes) -> Submission:
    """Keep what was handed in, durable before it returns; nothing is judged. The same content again changes nothing.

    Content that was refused waits again: a refusal may have been about time.
    """
    with ledger.database.transaction() as session:
        submissions.hold_inbox(session)  # and only then the time: a freeze never overlooks what came before it
        received = submissions.receive(session, content, received_at=ledger.clock.now())
        faultpoint("receive.before_commit")
    faultpoint("receive.after_commit")
    return received


def judge_submission(ledger: Ledger, digest: Hash32) -> Submission:
    """Admit or refuse what was handed in, as of when it was; twice, or by two at once, is harmless.

    A revocation waits for everything that was handed in before it: its batch may be among that. Raises
    RowMissingError for what was never received.
    """
    with ledger.database.reading() as session:
        waiting = submissions.submission(session, digest)
        if waiting.state is not SubmissionState.RECEIVED:
            return waiting
        content = submissions.content_of(session, digest)
        if is_revocation(content) and _waits_for_others(session, waiting):
            return waiting
    receipt = submit(ledger, content, now=waiting.received_at)
    faultpoint("judge.after_effect")
    with ledger.database.transaction() as session:
        submissions.record_verdict(
            session,
            waiting,
            is_admitted=receipt.is_admitted,
            uid=receipt.uid,
            kind=receipt.kind,
            epoch=receipt.epoch,
            code=receipt.code,
            detail=receipt.detail,
            judged_at=ledger.clock.now(),
        )
        faultpoint("judge.before_commit")
    faultpoint("judge.after_commit")
    return submission(ledger, digest)


def submission(ledger: Ledger, digest: Hash32) -> Submission:
    """Where a submission stands, by the SHA-256 of its content. RowMissingError when it was never received."""
    with ledger.database.reading() as session:
        return submissions.submission(session, digest)


def waiting_submissions(
    ledger: Ledger, *, until: Timestamp | None = None, limit: int | None = None
) -> list[Submission]:
    """Received and not judged yet, oldest first; those received up to a second, the first so many."""
    with ledger.database.reading() as session:
        return submissions.waiting(session, until=until, limit=limit)


def judge_waiting(ledger: Ledger, *, until: Timestamp) -> int:
    """Judge all that was received up to a second and waits; how many. A freeze calls it: who was in time is in."""
    judged = 0
    # revocations are left by the first round, and judged by the second, when everything else is
    while waiting := waiting_submissions(ledger, until=until):
        settled = sum(judge_submission(ledger, each.digest).state is not SubmissionState.RECEIVED for each in waiting)
        if not settled:
            break
        judged += settled
    return judged


def _waits_for_others(session: Session, revocation: Submission) -> bool:
    others = submissions.waiting(session, until=revocation.received_at)
    return any(
        other.size > _MOST_OF_A_REVOCATION or not is_revocation(submissions.content_of(session, other.digest))
        for other in others
        if other.digest != revocation.digest
    )
