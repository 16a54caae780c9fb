"""Files that are whole or not there, whatever ends the process or the machine: written beside their place, then moved.

A file that is opened where it lies and killed half-way is empty or cut, and the next run believes it.
"""

import os
import secrets
from pathlib import Path

READABLE = 0o644
OWNER_ONLY = 0o600


def write_whole(file: Path, content: str | bytes, *, mode: int = READABLE) -> None:
    """Put the file in place in one step, over the one that is there; on disk before it returns."""
    draft = _draft(file, content, mode)
    try:
        draft.replace(file)
    except BaseException:
        draft.unlink()
        raise
    _sync_folder(file.parent)


def create_whole(file: Path, content: str | bytes, *, mode: int = READABLE) -> None:
    """Put a new file in place in one step. FileExistsError leaves the one that is there as it is."""
    draft = _draft(file, content, mode)
    try:
        file.hardlink_to(draft)
    finally:
        draft.unlink()
    _sync_folder(file.parent)


def draft_prefix(file: Path) -> str:
    """How the names begin of what a killed writer may leave beside this file."""
    return f".{file.name}.draft-"


def _draft(file: Path, content: str | bytes, mode: int) -> Path:
    # not the process id: two containers that share a folder have the same ones
    place = file.with_name(f"{draft_prefix(file)}{secrets.token_hex(6)}")
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        place.unlink()
        raise
    return place


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
