"""Where an epoch's files are kept: the workspace's folder, or the database with the folder as a cache of it."""

import hashlib
from pathlib import Path
from typing import Protocol

from sqlalchemy.orm import Session

from ledger.db.artefacts import RecordedArtefact
from ledger.db.blobs import find_blob, put_blob, read_blob
from ledger.model.durable import write_whole
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber, Hash32, Timestamp
from ledger.steps.kept.artefacts import Artefact, ArtefactFolder, recorded
from ledger.steps.kept.mapped_files import MappedFile


class ArtefactStore(Protocol):
    """Keeps the files of epochs; a file counts once a database row names its digest."""

    def write(self, epoch: EpochNumber, attempt: int, file_name: str, content: bytes) -> Artefact:
        """Write a file whole or not at all; writing the same content again changes nothing."""
        ...

    def record(
        self, session: Session, epoch: EpochNumber, attempt: int, artefact: Artefact, recorded_at: Timestamp
    ) -> None:
        """Name a written file in the database, inside the caller's transaction."""
        ...

    def path(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> Path:
        """Where a recorded file lies on this machine."""
        ...

    def mapped(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> MappedFile:
        """A recorded file mapped into memory, its SHA-256 verified once per process. Raises what `read` raises."""
        ...

    def read(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> bytes:
        """The bytes of a recorded file. MismatchError names a file that is gone or not what was recorded."""
        ...

    def kept_digest(self, session: Session, row: RecordedArtefact) -> Hash32 | None:
        """The SHA-256 of what is kept under this record now, whatever was recorded; None when it is gone."""
        ...


class DatabaseArtefacts:
    """Files in the database's blobs; the folder keeps copies that are held against their digest before each use.

    Name and bytes commit together. A copy that is gone or damaged is fetched again; only the blob is the file.
    """

    def __init__(self, cache: Path) -> None:
        self._root = cache
        self._copies = ArtefactFolder(cache)

    def write(self, epoch: EpochNumber, attempt: int, file_name: str, content: bytes) -> Artefact:
        return self._copies.write(epoch, attempt, file_name, content)

    def record(
        self, session: Session, epoch: EpochNumber, attempt: int, artefact: Artefact, recorded_at: Timestamp
    ) -> None:
        digest = put_blob(session, (self._root / artefact.path).read_bytes())
        if digest != artefact.digest:
            raise MismatchError(f"{self._root / artefact.path} changed between writing and recording it")
        self._copies.record(session, epoch, attempt, artefact, recorded_at)

    def path(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> Path:
        self.mapped(session, epoch, attempt, kind)
        return self._copies.path(session, epoch, attempt, kind)

    def mapped(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> MappedFile:
        try:
            return self._copies.mapped(session, epoch, attempt, kind)
        except MismatchError:
            self._fetch(session, epoch, attempt, kind)
            return self._copies.mapped(session, epoch, attempt, kind)

    def read(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> bytes:
        try:
            return self._copies.read(session, epoch, attempt, kind)
        except MismatchError:
            self._fetch(session, epoch, attempt, kind)
            return self._copies.read(session, epoch, attempt, kind)

    def kept_digest(self, session: Session, row: RecordedArtefact) -> Hash32 | None:
        content = find_blob(session, row.content_digest)
        return None if content is None else Hash32(hashlib.sha256(content).digest())

    def _fetch(self, session: Session, epoch: EpochNumber, attempt: int, kind: str) -> None:
        """Write the copy anew from the blob. MismatchError when that is damaged or gone."""
        row = recorded(session, epoch, attempt, kind)
        place = self._root / row.path
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, read_blob(session, row.content_digest))
