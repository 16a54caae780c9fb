"""What came to the door: numbers without gaps, codes that exist, verdicts on what was handed in."""

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference, shown
from ledger.db.tables.blobs import BlobRow
from ledger.db.tables.items import ItemRow, RefusalRow
from ledger.db.tables.submissions import SubmissionRow, SubmissionVerdictRow
from ledger.model.refusals import REFUSALS
from ledger.model.units import to_hex
from ledger.steps.auditing.rows.faults import absent, gaps, unequal


def refusal_faults(session: Session) -> Iterator[Difference]:
    """`refusals`: nothing between the first and the last is gone; each has a code there is."""
    rows = list(session.execute(select(RefusalRow).order_by(RefusalRow.number)).scalars())
    yield from gaps("refusals", "number", [row.number for row in rows], 1)
    for row in rows:
        if row.code not in REFUSALS:
            yield Difference(where=f"refusals, number {row.number} · code", expected="a code", found=shown(row.code))


def submission_faults(session: Session) -> Iterator[Difference]:
    """`submissions` and `submission_verdicts`: of content that is here; what was admitted is in the index."""
    sizes = {bytes(row.digest): row.size for row in session.execute(select(BlobRow.digest, BlobRow.size))}
    items = {bytes(row.uid): row for row in session.execute(select(ItemRow)).scalars()}
    handed: dict[bytes, list[int]] = {}
    for row in session.execute(select(SubmissionRow)).scalars():
        name = f"submissions, {to_hex(row.digest)} number {row.number}"
        handed.setdefault(bytes(row.digest), []).append(row.number)
        if bytes(row.digest) not in sizes:
            yield absent(f"blobs, {to_hex(row.digest)}")
        else:
            yield from unequal(name, {"size": sizes[bytes(row.digest)]}, row)
    for digest, numbers in sorted(handed.items()):
        yield from gaps("submissions", f"number of {to_hex(digest)}", numbers, 1)
    for verdict in session.execute(select(SubmissionVerdictRow)).scalars():
        yield from _verdict_faults(verdict, items)
        if verdict.number not in handed.get(bytes(verdict.digest), []):
            yield absent(f"submissions, {to_hex(verdict.digest)} number {verdict.number}")


def _verdict_faults(row: SubmissionVerdictRow, items: dict[bytes, ItemRow]) -> Iterator[Difference]:
    name = f"submission_verdicts, {to_hex(row.digest)} number {row.number}"
    if row.verdict not in ("admitted", "refused"):
        yield Difference(where=f"{name} · verdict", expected="admitted or refused", found=shown(row.verdict))
    if row.verdict != "admitted":
        if row.code not in REFUSALS:
            yield Difference(where=f"{name} · code", expected="a code", found=shown(row.code))
        return
    item = None if row.uid is None else items.get(bytes(row.uid))
    if item is None:
        yield Difference(where=f"{name} · uid", expected="an item that was taken in", found=shown(row.uid))
        return
    yield from unequal(name, {"code": "", "kind": item.kind, "epoch": item.epoch}, row)
