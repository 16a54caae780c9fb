"""Which files an epoch produced, with their digests."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.db.errors import AlreadyDifferentError
from ledger.db.tables.artefacts import ArtefactRow
from ledger.model.units import EpochNumber, Hash32, Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedArtefact:
    """One file as recorded; `path` is relative to the workspace."""

    epoch: EpochNumber
    attempt: int
    kind: str
    content_digest: Hash32
    path: str
    size: int


def record_artefact(
    session: Session,
    *,
    epoch: EpochNumber,
    attempt: int,
    kind: str,
    content_digest: Hash32,
    path: str,
    size: int,
    recorded_at: Timestamp,
) -> None:
    """Name a written file; the same file again changes nothing, another one under the same name is refused."""
    row = session.get(ArtefactRow, (epoch, attempt, kind))
    if row is not None:
        if row.content_digest != content_digest:
            raise AlreadyDifferentError(f"{kind} of epoch {epoch} attempt {attempt} is recorded with other bytes")
        return
    session.add(
        ArtefactRow(
            epoch=epoch,
            attempt=attempt,
            kind=kind,
            content_digest=content_digest,
            path=path,
            size=size,
            recorded_at=recorded_at,
        )
    )
    session.flush()


def artefact(session: Session, *, epoch: EpochNumber, attempt: int, kind: str) -> RecordedArtefact | None:
    """One recorded file, or None."""
    row = session.get(ArtefactRow, (epoch, attempt, kind))
    return None if row is None else _recorded(row)


def artefacts(session: Session, *, epoch: EpochNumber | None = None) -> list[RecordedArtefact]:
    """All recorded files, of one epoch or of all, by epoch, attempt and kind."""
    query = select(ArtefactRow).order_by(ArtefactRow.epoch, ArtefactRow.attempt, ArtefactRow.kind)
    if epoch is not None:
        query = query.where(ArtefactRow.epoch == epoch)
    return [_recorded(row) for row in session.execute(query).scalars()]


def _recorded(row: ArtefactRow) -> RecordedArtefact:
    return RecordedArtefact(
        epoch=EpochNumber(row.epoch),
        attempt=row.attempt,
        kind=row.kind,
        content_digest=Hash32(row.content_digest),
        path=row.path,
        size=row.size,
    )
