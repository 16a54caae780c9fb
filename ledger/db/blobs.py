"""Content inside the database, addressed by its SHA-256: written once, held against it when read."""

import hashlib

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.db.errors import BlobDamagedError
from ledger.db.serial import one_at_a_time
from ledger.db.tables.blobs import BlobRow
from ledger.model.units import Hash32, to_hex


def put_blob(session: Session, content: bytes) -> Hash32:
    """Keep content inside the caller's transaction; the same content again changes nothing. Its SHA-256."""
    digest = Hash32(hashlib.sha256(content).digest())
    one_at_a_time(session, f"blob {digest.hex()}")
    if session.execute(select(BlobRow.size).where(BlobRow.digest == digest)).scalar_one_or_none() is None:
        session.add(BlobRow(digest=digest, size=len(content), content=content))
        session.flush()
    return digest


def find_blob(session: Session, digest: Hash32) -> bytes | None:
    """What is kept under this SHA-256, not held against it; None when nothing is."""
    return session.execute(select(BlobRow.content).where(BlobRow.digest == digest)).scalar_one_or_none()


def read_blob(session: Session, digest: Hash32) -> bytes:
    """The content with this SHA-256. BlobDamagedError when it is gone or was changed."""
    content = find_blob(session, digest)
    if content is None:
        raise BlobDamagedError(f"the blob {to_hex(digest)} is gone")
    found = hashlib.sha256(content).digest()
    if found != digest:
        raise BlobDamagedError(f"the blob {to_hex(digest)} has SHA-256 {to_hex(found)}: its bytes were changed")
    return content
