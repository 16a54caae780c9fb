"""Restoring: a backup into an empty place, then proof that what stands there is what was backed up.

Rows come in one transaction, with the guards back on and checked before it commits; the workspace's settings come last.
A restore that is killed anywhere leaves a place without a workspace, and the next one finishes it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from ledger.db import migrations
from ledger.db.engine import SCHEMA_REVISIONS, Database
from ledger.db.row_lines import is_empty, kept_tables, load_rows, row_lines
from ledger.evidence.storage.store import ItemKind
from ledger.model.durable import write_whole
from ledger.model.errors import MismatchError, RefusedError
from ledger.model.units import Hash32, to_hex
from ledger.steps.checkup.books_check import check_books
from ledger.steps.restoring.archive import Archive, BackupDamagedError, BackupNewerError
from ledger.steps.restoring.backup import EVIDENCE, TABLES, Folder

_ARTEFACT: Final = re.compile(r"artefacts/\d{8}/\d+/[a-z0-9][a-z0-9.-]*")
_ITEM: Final = re.compile(rf"{EVIDENCE}/(batch|registration|revocation)/([0-9a-f]{{64}})")


class PlaceTakenError(RefusedError):
    """A backup is restored into an empty place only."""

    code = "backup.place-taken"
    default_hint = "name a new folder, or an empty database"


class OtherEngineError(RefusedError):
    """The backup is of a ledger on another kind of database."""

    code = "backup.other-engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put back, as its own check found it."""

    entries: int
    seal_head: Hash32
    accounts: int
    rows: int
    files: int


def check_engine(archive: Archive, dialect: str) -> None:
    """Refuse what cannot be restored here before anything is made. OtherEngineError, BackupNewerError."""
    engine, revision = archive.about["engine"], archive.about["revision"]
    if engine != dialect:
        hint = "for PostgreSQL set ATH_LEDGER_DATABASE_URL; for SQLite leave it unset"
        raise OtherEngineError(f"the backup is of {engine}, this place is {dialect}", hint=hint)
    if revision not in SCHEMA_REVISIONS:
        raise BackupNewerError(f"the backup has schema {revision}; this version knows up to {SCHEMA_REVISIONS[-1]}")


def restore(archive: Archive, database: Database, folder: Folder | None) -> Restored:
    """Put rows and files back and check them. `database` was opened with `create`.

    Raises PlaceTakenError when the database holds rows, BackupDamagedError, and what `check_books` raises.
    """
    is_loaded = _is_loaded(archive, database)
    files = 0 if folder is None else _put_files(archive, folder)
    if not is_loaded:
        migrations.upgrade(database)
        with database.transaction() as session:
            load_rows(session, dict(_tables(archive)))
    checked = check_books(database)
    _require_heads(archive, {"seal": checked.seal_head, "log": checked.log_head})
    return Restored(
        entries=checked.entries,
        seal_head=checked.seal_head,
        accounts=checked.accounts,
        rows=sum(sum(1 for _ in lines) - 1 for _, lines in _tables(archive)),
        files=files,
    )


def _is_loaded(archive: Archive, database: Database) -> bool:
    """Whether a killed restore of this very backup had put all rows in. PlaceTakenError for any other row."""
    if database.revision() is None:
        return False
    with database.reading() as session:
        if database.revision() == SCHEMA_REVISIONS[-1]:
            if is_empty(session):
                return False
            backed_up = dict(_tables(archive))
            pairs = ((row_lines(session, table), backed_up.get(table.name, ())) for table in kept_tables())
            if all(ours == theirs for there, back in pairs for ours, theirs in zip_longest(there, back)):
                return True
    raise PlaceTakenError(f"{database.place} holds a ledger")


def _tables(archive: Archive) -> Iterator[tuple[str, Iterator[bytes]]]:
    for table in kept_tables():
        name = f"{TABLES}/{table.name}"
        if name in archive.members:  # a table newer than the backup is empty
            yield table.name, archive.lines(name)


def _put_files(archive: Archive, folder: Folder) -> int:
    count = 0
    for name in sorted(archive.members):
        item = _ITEM.fullmatch(name)
        if item is not None:
            folder.evidence.put(ItemKind(item[1]), Hash32(bytes.fromhex(item[2])), archive.read(name))
        elif _ARTEFACT.fullmatch(name):
            place = folder.root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, archive.read(name))
        elif name.startswith((EVIDENCE, "artefacts")):
            raise BackupDamagedError(f"{name!r} is no place for a file of a ledger")
        else:
            continue
        count += 1
    return count


def _require_heads(archive: Archive, found: Mapping[str, Hash32]) -> None:
    for chain, head in found.items():
        told = archive.about["heads"][chain]["hash"]
        if to_hex(head) != told:
            raise MismatchError(f"the restored {chain} chain ends in {to_hex(head)}, backed up was {told}")
