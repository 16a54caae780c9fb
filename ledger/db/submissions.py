"""Submissions: content that was handed in and waits for its verdict, and the verdicts.

Content is durable with the row that names it. One content waits at most once; what was refused may be handed in again,
because a refusal can be about time (too early, or a revocation that came before its batch).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, Select, and_, select
from sqlalchemy.orm import Session

from ledger.db.blobs import put_blob, read_blob
from ledger.db.errors import RowMissingError
from ledger.db.schema import table_of
from ledger.db.serial import one_at_a_time
from ledger.db.tables.submissions import SubmissionRow, SubmissionVerdictRow
from ledger.model.units import EpochNumber, Hash32, Timestamp, to_hex

_SUBMISSIONS: Final = table_of(SubmissionRow)
_VERDICTS: Final = table_of(SubmissionVerdictRow)


class SubmissionState(StrEnum):
    """How far a submission is."""

    RECEIVED = "received"
    """Kept, and not judged yet."""
    ADMITTED = "admitted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Some content's last submission, and what became of it. Until it is judged all below `state` is empty."""

    digest: Hash32
    """SHA-256 of the content."""
    number: int
    """How often this content was handed in to be judged."""
    size: int
    received_at: Timestamp
    state: SubmissionState
    uid: Hash32 | None = None
    kind: str = ""
    epoch: EpochNumber | None = None
    code: str = ""
    """The refusal's code; empty when admitted."""
    detail: str = ""
    judged_at: Timestamp | None = None

    @property
    def is_admitted(self) -> bool:
        """Whether it is evidence now; the final verdict comes with its epoch's computation."""
        return self.state is SubmissionState.ADMITTED


def hold_inbox(session: Session) -> None:
    """Until the transaction ends nobody else hands anything in, and no epoch is frozen."""
    one_at_a_time(session, "inbox")


def receive(session: Session, content: bytes, *, received_at: Timestamp) -> Submission:
    """Keep content that was handed in; one that waits or was admitted is left as it is."""
    digest = put_blob(session, content)  # holds the content's lock until the transaction ends
    last = find(session, digest)
    if last is not None and last.state is not SubmissionState.REFUSED:
        return last
    number = 1 if last is None else last.number + 1
    session.add(SubmissionRow(digest=digest, number=number, size=len(content), received_at=received_at))
    session.flush()
    return Submission(
        digest=digest, number=number, size=len(content), received_at=received_at, state=SubmissionState.RECEIVED
    )


def find(session: Session, digest: Hash32) -> Submission | None:
    """The last submission of this content, or None."""
    row = session.execute(_WITH_VERDICT.where(_SUBMISSIONS.c.digest == digest).limit(1)).one_or_none()
    return None if row is None else _submission(row)


def submission(session: Session, digest: Hash32) -> Submission:
    """The last submission of this content. RowMissingError when it was never handed in."""
    found = find(session, digest)
    if found is None:
        raise RowMissingError(f"no submission {to_hex(digest)} was received", hint="send the file again")
    return found


def content_of(session: Session, digest: Hash32) -> bytes:
    """What was handed in."""
    return read_blob(session, digest)


def waiting(session: Session, *, until: Timestamp | None = None, limit: int | None = None) -> list[Submission]:
    """Submissions without a verdict, oldest first; those received up to a second, the first so many."""
    query = _WAITING.limit(limit)
    if until is not None:
        query = query.where(_SUBMISSIONS.c.received_at <= until)
    return [_submission(row) for row in session.execute(query)]


def record_verdict(
    session: Session,
    judged: Submission,
    *,
    is_admitted: bool,
    uid: Hash32 | None,
    kind: str,
    epoch: EpochNumber | None,
    code: str,
    detail: str,
    judged_at: Timestamp,
) -> None:
    """Say what became of a submission; one that has its verdict keeps it."""
    one_at_a_time(session, f"verdict {judged.digest.hex()}")
    if session.get(SubmissionVerdictRow, (judged.digest, judged.number)) is not None:
        return
    session.add(
        SubmissionVerdictRow(
            digest=judged.digest,
            number=judged.number,
            verdict=(SubmissionState.ADMITTED if is_admitted else SubmissionState.REFUSED).value,
            uid=uid,
            kind=kind,
            epoch=epoch,
            code=code,
            detail=detail,
            judged_at=judged_at,
        )
    )
    session.flush()


_WITH_VERDICT: Final[Select[Any]] = (
    select(
        _SUBMISSIONS.c.digest,
        _SUBMISSIONS.c.number,
        _SUBMISSIONS.c.size,
        _SUBMISSIONS.c.received_at,
        _VERDICTS.c.verdict,
        _VERDICTS.c.uid,
        _VERDICTS.c.kind,
        _VERDICTS.c.epoch,
        _VERDICTS.c.code,
        _VERDICTS.c.detail,
        _VERDICTS.c.judged_at,
    )
    .outerjoin(
        _VERDICTS,
        and_(_VERDICTS.c.digest == _SUBMISSIONS.c.digest, _VERDICTS.c.number == _SUBMISSIONS.c.number),
    )
    .order_by(_SUBMISSIONS.c.number.desc())
)
_WAITING: Final = (
    _WITH_VERDICT.where(_VERDICTS.c.digest.is_(None))
    .order_by(None)
    .order_by(_SUBMISSIONS.c.received_at, _SUBMISSIONS.c.digest)
)


def _submission(row: Row[Any]) -> Submission:
    received = Submission(
        digest=Hash32(row.digest),
        number=row.number,
        size=row.size,
        received_at=Timestamp(row.received_at),
        state=SubmissionState.RECEIVED,
    )
    if row.verdict is None:
        return received
    return replace(
        received,
        state=SubmissionState(row.verdict),
        uid=None if row.uid is None else Hash32(row.uid),
        kind=row.kind,
        epoch=None if row.epoch is None else EpochNumber(row.epoch),
        code=row.code,
        detail=row.detail,
        judged_at=Timestamp(row.judged_at),
    )
