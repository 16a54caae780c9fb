"""Files an epoch produces, kept under the workspace and proved by the database row that names their digest.

A file is written beside its place, flushed and renamed before the transaction that records it commits: a crash
leaves a file nobody names, never a name without its file.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from ledger.db import artefacts as rows
from ledger.model.durable import write_whole
from ledger.model.errors import MismatchError, NotFoundError
from ledger.model.units import EpochNumber, Hash32, Timestamp, to_hex
from ledger.steps.kept.mapped_files import MappedFile, MappedFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One written file that no row names yet."""

    kind: str
    path: str
    """Relative to the workspace."""
    digest: Hash32
    size: int


class ArtefactFolder:
    """The workspace's `artefacts/` folder: `artefacts/<epoch>/<attempt>/<file>`."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._maps = MappedFiles()

    def write(self, epoch: EpochNumber, attempt: int, file_name: str, content: bytes) -> Artefact:
        """Write a file whole or not at all; writing the same content again changes nothing."""
        relative = Path("artefacts") / f"{epoch:08d}" / str(attempt) / file_name
        place = self._workspace / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, content)
        return Artefact(
            kind=Path(file_name).stem,
            path=relative.as_posix(),
            digest=Hash32(hashlib.sha256(content).digest()),
            size=len(content),
        )

    def record(
        self, session: Session, epoch: EpochNumber, attempt: int, artefact: Artefact, recorded_at: Timestamp
    ) -> None:
        """Name a written file in the database, inside the caller's transaction."""
        rows.record_artefact(
            session,
            epoch=epoch,
            attempt=attempt,
            kind=artefact.kind,
            content_digest=artefact.digest,
            path=artefact.path,
            size=artefact.size,
            recorded_at=recorded_at,
        )

    def path(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> Path:
        """Where a recorded file lies, without reading it."""
        return self._workspace / recorded(session, epoch, attempt, kind).path

    def mapped(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> MappedFile:
        """A recorded file mapped into memory, its SHA-256 verified once per process. Raises what `read` raises."""
        row = recorded(session, epoch, attempt, kind)
        return self._maps.open(self._workspace / row.path, row.content_digest)

    def read(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> bytes:
        """The bytes of a recorded file. MismatchError names a file that is gone or not what was recorded."""
        row = recorded(session, epoch, attempt, kind)
        place = self._workspace / row.path
        try:
            content = place.read_bytes()
        except FileNotFoundError as error:
            raise MismatchError(f"{place} is gone; its SHA-256 was {to_hex(row.content_digest)}") from error
        found = hashlib.sha256(content).digest()
        if found != row.content_digest:
            raise MismatchError(f"{place} has SHA-256 {to_hex(found)}, recorded was {to_hex(row.content_digest)}")
        return content

    def kept_digest(self, _session: Session, row: rows.RecordedArtefact) -> Hash32 | None:
        """The SHA-256 of what is kept under this record now, whatever was recorded; None when it is gone."""
        try:
            with (self._workspace / row.path).open("rb") as content:
                return Hash32(hashlib.file_digest(content, "sha256").digest())
        except FileNotFoundError:
            return None


def recorded(session: Session, epoch: EpochNumber, attempt: int, kind: str) -> rows.RecordedArtefact:
    """What the database says about a file. NotFoundError before it is recorded."""
    row = rows.artefact(session, epoch=epoch, attempt=attempt, kind=kind)
    if row is None:
        raise NotFoundError(f"epoch {epoch} has no {kind} yet", hint=f"ath-ledger epoch show {epoch}")
    return row
