"""Parts of work done ahead, by any worker, for whoever needs them: a cache, known by what it was made from."""

import hashlib
from collections.abc import Iterator
from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from ledger.db.serial import one_at_a_time
from ledger.db.tables.parts import PartRow
from ledger.model.units import Hash32

_KEPT: Final = select(PartRow.number, PartRow.inputs).where(
    PartRow.kind == bindparam("kind"), PartRow.shards == bindparam("shards")
)


def find_part(session: Session, kind: str, shards: int, number: int, inputs: Hash32) -> bytes | None:
    """The part that was made from these inputs; None when there is none, or its bytes were changed."""
    row = session.execute(
        select(PartRow.digest, PartRow.content).where(
            PartRow.kind == kind, PartRow.shards == shards, PartRow.number == number, PartRow.inputs == inputs
        )
    ).one_or_none()
    if row is None or hashlib.sha256(row.content).digest() != row.digest:
        return None
    return bytes(row.content)


def every_part(session: Session, kind: str) -> Iterator[bytes]:
    """All parts of a kind whose bytes are those that were kept, by number."""
    rows = select(PartRow.digest, PartRow.content).where(PartRow.kind == kind).order_by(PartRow.number)
    for row in session.execute(rows.execution_options(yield_per=1)):
        if hashlib.sha256(row.content).digest() == row.digest:
            yield bytes(row.content)


def kept_parts(session: Session, kind: str, shards: int) -> dict[int, Hash32]:
    """The inputs of each part that is there, by its number."""
    rows = session.execute(_KEPT, {"kind": kind, "shards": shards})
    return {row.number: Hash32(row.inputs) for row in rows}


def keep_part(session: Session, kind: str, shards: int, number: int, inputs: Hash32, content: bytes) -> None:
    """Keep a part in place of an older one; parts of another number of shards are dropped."""
    one_at_a_time(session, f"part {kind}")
    session.execute(
        delete(PartRow).where(PartRow.kind == kind, (PartRow.shards != shards) | (PartRow.number == number))
    )
    digest = hashlib.sha256(content).digest()
    session.add(PartRow(kind=kind, shards=shards, number=number, inputs=inputs, digest=digest, content=content))
    session.flush()
