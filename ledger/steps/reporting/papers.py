"""Retirement certificates on file: what hashes to what the vault recorded is that certificate, whoever put it there.

The vault keeps a hash and a link. Project and serial numbers stand in the certificate; a copy in the workspace's folder
`retirements/` lets a report name them.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledger.model.units import Hash32
from ledger.tree.keccak import keccak256

FOLDER: Final = "retirements"
MAX_PAPER_BYTES: Final = 2**20
MAX_TEXT: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What a certificate says, as far as it is JSON with these members; else only that it is on file."""

    project: str
    serials: str


def papers(folder: Path) -> dict[Hash32, Paper]:
    """The certificates in a folder by their keccak-256 and by their SHA-256; files that are too large are left out."""
    found: dict[Hash32, Paper] = {}
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not place.is_file() or place.stat().st_size > MAX_PAPER_BYTES:
            continue
        content = place.read_bytes()
        paper = _paper(content, place.name)
        found[keccak256(content)] = found[Hash32(hashlib.sha256(content).digest())] = paper
    return found


def _paper(content: bytes, name: str) -> Paper:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return Paper(project=f"see {name}", serials=f"see {name}")
    return Paper(project=_text(document.get("project"), name), serials=_text(document.get("serials"), name))


def _text(value: object, name: str) -> str:
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts):
        return f"see {name}"
    return ", ".join(map(str, parts))[:MAX_TEXT]
