"""Backing up: one consistent state of the books with every file they name, while others go on working.

The rows are read in one snapshot. Files are written before the row that names them commits and never change, so those
a snapshot names are all there. Keys and secrets stay where they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.books.posting import Chain
from ledger.db import items, journal
from ledger.db.engine import Database, stored_revision
from ledger.db.row_lines import kept_tables, row_lines
from ledger.db.tables.artefacts import ArtefactRow
from ledger.evidence.storage.store import EvidenceStore, ItemKind
from ledger.model.errors import MismatchError
from ledger.model.units import Hash32, to_hex
from ledger.steps.restoring.archive import ArchiveWriter, new_archive

TABLES: Final = "tables"
EVIDENCE: Final = "evidence"
WORKSPACE: Final = "workspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Where a ledger on SQLite has its files; one on PostgreSQL has them in its database."""

    root: Path
    evidence: EvidenceStore


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """What a backup holds."""

    size: int
    seq: int
    """The last journal entry in it."""
    seal_head: Hash32
    files: int


def write_backup(database: Database, folder: Folder | None, documents: Mapping[str, bytes], out: Path) -> BackedUp:
    """Write the backup to a new file. `documents`: the workspace's own texts, by name.

    Raises MismatchError when a file that the books name is gone or was changed: a backup would hide that.
    """
    with new_archive(out) as archive:
        with database.reading() as session:
            seq, head = journal.last_seq(session), journal.head(session, Chain.SEAL)
            about = _about(session, database)
            for table in kept_tables():
                archive.add_lines(f"{TABLES}/{table.name}", row_lines(session, table))
            files = 0 if folder is None else _add_files(archive, session, folder)
        for name, content in sorted(documents.items()):
            archive.add(f"{WORKSPACE}/{name}", content)
        archive.finish(about)
    return BackedUp(size=out.stat().st_size, seq=seq, seal_head=head.hash, files=files)


def _about(session: Session, database: Database) -> dict[str, Any]:
    heads = {chain.value: journal.head(session, chain) for chain in Chain}
    return {
        "engine": database.dialect,
        "revision": stored_revision(session.connection()) or "",
        "lastSeq": journal.last_seq(session),
        "heads": {name: {"number": head.number, "hash": to_hex(head.hash)} for name, head in heads.items()},
    }


def _add_files(archive: ArchiveWriter, session: Session, folder: Folder) -> int:
    """Everything signed that the index names, then every artefact; how many."""
    count = 0
    for item in sorted(items.items(session), key=lambda each: (each.kind, each.uid)):
        archive.add(f"{EVIDENCE}/{item.kind}/{item.uid.hex()}", folder.evidence.get(ItemKind(item.kind), item.uid))
        count += 1
    query = select(ArtefactRow.path, ArtefactRow.content_digest).distinct().order_by(ArtefactRow.path)
    for path, digest in session.execute(query):
        archive.add(path, _artefact(folder.root / path, digest))
        count += 1
    return count


def _artefact(place: Path, digest: bytes) -> bytes:
    try:
        content = place.read_bytes()
    except FileNotFoundError as error:
        raise MismatchError(f"{place} is recorded and gone", hint="restore it from a backup that has it") from error
    if sha256(content).digest() != digest:
        raise MismatchError(f"{place} is not the file that was recorded", hint="restore it from a backup that has it")
    return content
