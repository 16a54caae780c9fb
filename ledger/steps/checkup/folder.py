"""The doctor's look at a workspace on disk: folders, room, the writer, the files the books name."""

import fcntl
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ledger.db import artefacts as artefact_rows
from ledger.db import items
from ledger.evidence.storage.store import ItemKind
from ledger.model.errors import MismatchError
from ledger.model.units import Hash32, to_hex
from ledger.steps.checkup.doctor import Answer, beware, broken, well
from ledger.steps.ledger import Ledger

NEEDED_BYTES: Final = 256 * 2**20
WANTED_BYTES: Final = 2 * 2**30
SAMPLE: Final = 200
"""How many of the newest files are read unless all are asked for."""

Progress = Callable[[int], None]


def check_folders(root: Path, names: Sequence[str]) -> Answer:
    """Every folder and the database may be written; the keys are their owner's alone."""
    for folder in (root, *(root / name for name in names)):
        if not folder.is_dir():
            return broken("workspace.folder", f"{folder} is not there", f"mkdir {folder}")
        if not _may_write(folder):
            return broken("workspace.folder", f"{folder} cannot be written", f"make {folder} writable for this user")
    for file in sorted(root.glob("*.sqlite*")):
        # SQLite gives its log beside the database the same permissions, and leaves it there
        if not _may_write(file):
            return broken("db.read-only", f"{file} cannot be written", f"make {file} writable for this user")
    keys = root / "keys"
    if keys.is_dir() and keys.stat().st_mode & 0o077:
        return beware("keys.readable", f"{keys} is open to other users of this machine", f"chmod 700 {keys}")
    return well(f"{root} and its folders can be written")


def check_disk(root: Path) -> Answer:
    """Room for the next epochs' evidence and books."""
    free = shutil.disk_usage(root).free
    shown = f"{free // 2**20} MiB are free at {root}"
    if free < NEEDED_BYTES:
        return broken("disk.full", shown, f"free at least {NEEDED_BYTES // 2**20} MiB")
    return well(shown) if free >= WANTED_BYTES else beware("disk.low", shown, "free some space soon")


def check_writer(lock_file: Path) -> Answer:
    """Whether a command has the workspace to itself right now."""
    if not lock_file.exists():
        return well("nobody has written to it yet")
    with lock_file.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read(20).strip() or "unknown"
            return beware("workspace.busy", f"process {holder} has it to itself", "wait for it to end")
        fcntl.flock(file, fcntl.LOCK_UN)
    return well("nobody has it to itself")


def check_artefacts(ledger: Ledger, root: Path, *, full: bool, advance: Progress) -> Answer:
    """Every file the books name is there with its digest; the first that is not is named (MismatchError)."""
    with ledger.database.reading() as session:
        recorded = artefact_rows.artefacts(session)
        looked_at = recorded if full else recorded[-SAMPLE:]
        for row in looked_at:
            _require_digest(root / row.path, ledger.artefacts.kept_digest(session, row), row.content_digest)
            advance(1)
    return well(_counted(len(looked_at), len(recorded), "files"))


def check_evidence(ledger: Ledger, *, full: bool, advance: Progress) -> Answer:
    """Every item the index names is stored with its digest; the first that is not is named (MismatchError)."""
    with ledger.database.reading() as session:
        indexed = items.items(session)
    looked_at = indexed if full else indexed[-SAMPLE:]
    for item in looked_at:
        kind = ItemKind(item.kind)
        stored = ledger.evidence.find(kind, item.uid)
        if stored is None:
            raise MismatchError(
                f"{kind} {to_hex(item.uid)} is in the index and not in the evidence store",
                hint="restore the evidence folder from a backup or from a bundle",
            )
        if stored.sha256 != item.file_digest:
            raise MismatchError(f"{kind} {to_hex(item.uid)} is not the file that was received")
        ledger.evidence.read(stored)
        advance(1)
    return well(_counted(len(looked_at), len(indexed), "items"))


def evidence_count(ledger: Ledger) -> int:
    """How many items a full look reads."""
    with ledger.database.reading() as session:
        return items.last_arrival(session)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _require_digest(file: Path, found: Hash32 | None, expected: Hash32) -> None:
    hint = "restore the file from a backup or from a bundle"
    if found is None:
        raise MismatchError(f"{file} is gone", hint=hint)
    if found != expected:
        raise MismatchError(f"{file} has SHA-256 {to_hex(found)}, recorded was {to_hex(expected)}", hint=hint)


def _counted(looked_at: int, there: int, what: str) -> str:
    if looked_at == there:
        return f"all {there} {what} are as they were written"
    return f"the newest {looked_at} of {there} {what} are as they were written (all with --full)"
