"""Policies, tables and corrections: each row against the hash it names and the journal that booked it."""

import json
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference, shown
from ledger.books.posting import EntryKind
from ledger.db import corrections, journal
from ledger.db.tables.corrections import CorrectionRow
from ledger.db.tables.epochs import EpochEventRow
from ledger.db.tables.policies import PolicyRow, TablesDocumentRow
from ledger.model.epoch import EpochState
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, Hash32, to_hex
from ledger.steps.auditing.rows.faults import absent, foreign, unequal
from ledger.steps.recorded.sealed import header_from_document
from ledger.tree.canonical import integer_of, parse_canonical
from ledger.tree.commitments import header_hash, policy_hash, tables_hash
from ledger.tree.parameters import policy_from_document, tables_from_document
from ledger.tree.payout import payout_tree


def policy_faults(session: Session) -> Iterator[Difference]:
    """`policies`: each was frozen under, hashes to what it says, and is what the journal booked of it."""
    frozen = {
        int(json.loads(row.facts)["policyVersion"])
        for row in session.execute(select(EpochEventRow)).scalars()
        if row.state == EpochState.FROZEN.value
    }
    rows = {row.version: row for row in session.execute(select(PolicyRow).order_by(PolicyRow.version)).scalars()}
    booked = {
        integer_of(body["version"]): body
        for entry in journal.entries(session, kind=EntryKind.POLICY)
        for body in [parse_canonical(entry.canonical)["body"]]
    }
    for version in sorted(frozen | rows.keys() | booked.keys()):
        name, row = f"policies, version {version}", rows.get(version)
        if row is None:
            yield absent(name)
            continue
        if version not in frozen:
            yield foreign(name, "no epoch was frozen under it")
        try:
            policy = policy_from_document(json.loads(row.parameters))
        except (LedgerError, ValueError) as error:
            yield Difference(where=f"{name} · parameters", expected="a policy", found=repr(error)[:200])
            continue
        yield from unequal(name, {"policy_hash": policy_hash(policy)}, row)
        body = booked.get(version)
        if body is not None:
            effective = integer_of(body["effectiveEpoch"])
            yield from unequal(name, {"effective_epoch": effective}, row)
            if body["policyHash"] != to_hex(row.policy_hash):
                where = f"{name} · policy_hash"
                yield Difference(where=where, expected=body["policyHash"], found=to_hex(row.policy_hash))


def tables_faults(session: Session) -> Iterator[Difference]:
    """`tables_documents`: each hashes to its key."""
    for row in session.execute(select(TablesDocumentRow)).scalars():
        name = f"tables_documents, {to_hex(row.tables_hash)}"
        try:
            found: object = tables_hash(tables_from_document(bytes(row.document)))
        except (LedgerError, ValueError) as error:
            found = repr(error)[:200]
        if found != row.tables_hash:
            yield Difference(where=f"{name} · document", expected=shown(row.tables_hash), found=shown(found))


def correction_faults(session: Session) -> Iterator[Difference]:
    """`corrections`: header, leaves and entry belong together, and what the journal booked is here."""
    rows = list(session.execute(select(CorrectionRow).order_by(CorrectionRow.header_hash)).scalars())
    for row in rows:
        name = f"corrections, {to_hex(row.header_hash)}"
        try:
            yield from _correction(session, row, name)
        except (LedgerError, ValueError, KeyError, TypeError) as error:
            yield Difference(where=f"{name} · document", expected="a correction", found=repr(error)[:200])
    heads = {bytes(row.ledger_head) for row in rows}
    for entry in journal.entries(session, kind=EntryKind.CORRECTION):
        if bytes(entry.hash) not in heads:
            yield absent(f"corrections, booked as {entry.key}")


def _correction(session: Session, row: CorrectionRow, name: str) -> Iterator[Difference]:
    stored = corrections.find(session, Hash32(row.header_hash))
    if stored is None:
        return
    header = header_from_document(stored.header)
    root = payout_tree(list(stored.leaves), list(stored.leaves.values())).root
    expected = {"header_hash": header_hash(header), "ledger_head": header.ledger_head, "epoch": header.epoch}
    yield from unequal(name, expected, row)
    if root != header.claim_root:
        where = f"{name} · document · leaves"
        yield Difference(where=where, expected=to_hex(header.claim_root), found=to_hex(root))
    count = corrections.booked_count(session, EpochNumber(row.epoch))
    if not 1 <= row.number <= count + 1:
        yield Difference(where=f"{name} · number", expected=f"1 to {count + 1}", found=str(row.number))
    entry = journal.find(session, corrections.correction_key(EpochNumber(row.epoch), row.number))
    booked = [each for each in journal.entries(session, kind=EntryKind.CORRECTION) if each.hash == row.ledger_head]
    for each in booked:
        body = parse_canonical(each.canonical)["body"]
        yield from unequal(name, {"number": integer_of(body["correction"])}, row)
        if body["reason"] != stored.reason or entry is None:
            where = f"{name} · document · reason"
            yield Difference(where=where, expected=shown(body["reason"]), found=shown(stored.reason))
