"""Policies as the registry announced them, and the tables documents they point to."""

import json
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.db.errors import AlreadyDifferentError, RowMissingError
from ledger.db.tables.policies import PolicyRow, TablesDocumentRow
from ledger.model.policy import Policy, Tables
from ledger.model.units import EpochNumber, Hash32, Timestamp, to_hex
from ledger.tree.canonical import canonical_json
from ledger.tree.commitments import tables_hash
from ledger.tree.parameters import policy_document, policy_from_document, tables_document, tables_from_document


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """One policy as recorded."""

    version: int
    effective_epoch: EpochNumber
    policy_hash: Hash32
    policy: Policy
    block: int


def record_policy(session: Session, stored: StoredPolicy, *, recorded_at: Timestamp) -> None:
    """Keep a policy; the registry never uses a version twice, so the same version must say the same."""
    row = session.get(PolicyRow, stored.version)
    if row is not None:
        if row.policy_hash != stored.policy_hash or row.effective_epoch != stored.effective_epoch:
            raise AlreadyDifferentError(f"policy version {stored.version} is stored with other content")
        return
    session.add(
        PolicyRow(
            version=stored.version,
            effective_epoch=stored.effective_epoch,
            policy_hash=stored.policy_hash,
            parameters=canonical_json(policy_document(stored.policy)).decode(),
            block=stored.block,
            recorded_at=recorded_at,
        )
    )
    session.flush()


def policy(session: Session, version: int) -> StoredPolicy:
    """A recorded policy. Raises RowMissingError."""
    row = session.get(PolicyRow, version)
    if row is None:
        raise RowMissingError(f"policy version {version} is not recorded here", hint="ath-ledger gov show")
    return _stored(row)


def policies(session: Session) -> list[StoredPolicy]:
    """Every recorded policy by version."""
    return [_stored(row) for row in session.execute(select(PolicyRow).order_by(PolicyRow.version)).scalars()]


def record_tables(session: Session, tables: Tables, *, recorded_at: Timestamp) -> Hash32:
    """Keep a tables document; its hash. Twice is harmless."""
    digest = tables_hash(tables)
    if session.get(TablesDocumentRow, digest) is None:
        session.add(TablesDocumentRow(tables_hash=digest, document=tables_document(tables), recorded_at=recorded_at))
        session.flush()
    return digest


def has_tables(session: Session, digest: Hash32) -> bool:
    """Whether the tables behind a hash are kept here."""
    return session.get(TablesDocumentRow, digest) is not None


def tables(session: Session, digest: Hash32) -> Tables:
    """The tables behind a hash. Raises RowMissingError."""
    row = session.get(TablesDocumentRow, digest)
    if row is None:
        raise RowMissingError(f"the tables {to_hex(digest)} are not kept here", hint="ath-ledger gov tables FILE")
    return tables_from_document(row.document)


def all_tables(session: Session) -> list[Tables]:
    """Every tables document kept here, oldest first."""
    rows = select(TablesDocumentRow).order_by(TablesDocumentRow.recorded_at, TablesDocumentRow.tables_hash)
    return [tables_from_document(row.document) for row in session.execute(rows).scalars()]


def _stored(row: PolicyRow) -> StoredPolicy:
    return StoredPolicy(
        version=row.version,
        effective_epoch=EpochNumber(row.effective_epoch),
        policy_hash=Hash32(row.policy_hash),
        policy=policy_from_document(json.loads(row.parameters)),
        block=row.block,
    )
