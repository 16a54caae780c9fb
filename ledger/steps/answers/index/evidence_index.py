"""The evidence of one computed epoch, to be looked up by node, zone, batch and operator: records and verdicts on them.

Derived from the verdicts of the computation and the stored batches, each file read once and held against its digest;
nothing is judged again.
"""

import io
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.orm import Session

from ledger.db import parts
from ledger.evidence.items.typed_data import Schema
from ledger.evidence.storage.store import ItemKind, StoredBytesDifferError
from ledger.model.units import Address, EpochNumber, Hash32, NodeId, to_hex
from ledger.steps.answers.index.derived_file import DerivedFile, derived_file
from ledger.steps.answers.record_summary import MEASURES, SUBJECT, CreditKey, Measured, measured
from ledger.steps.kept.mapped_files import MappedFile
from ledger.steps.ledger import Ledger
from ledger.tree.commitments import node_id

if TYPE_CHECKING:  # who only looks things up need not load what reads evidence
    import polars as pl

    from ledger.evidence.items.batch import SignedBatch

_FORMAT: Final = b"evidence/2"
_SOURCES: Final = ("verdicts", "claims-credited", "hours-refused", "zone-hours")
_BINARY: Final = frozenset({"registry_id", "issuance_id"})
_FLAGS: Final = ("missing", "no_residual_mix", "estimated")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBatch:
    """The verdict on one batch as a whole; `number` counts batches in the order of the verdicts."""

    number: int
    uid: Hash32
    schema: str
    verifier: Address
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRegistration:
    """The verdict on one registration."""

    uid: Hash32
    operator: Address
    code: str
    detail: str
    node_id: NodeId | None
    """The node it is for; None where only its file says so."""


class EvidenceIndex:
    """One attempt's evidence."""

    def __init__(self, file: DerivedFile, sources: tuple[MappedFile, ...]) -> None:
        self._file = file
        self.sources = sources

    def records(self, schema: Schema, subject: bytes | str) -> dict[int, list[Measured]]:
        """The records about a node (or zone) by the number of their batch, each in key order."""
        query = f"SELECT * FROM {schema.title} WHERE subject = ? ORDER BY batch, record"  # noqa: S608
        found: dict[int, list[Measured]] = {}
        for _, batch, record, *values in self._file.rows(query, (subject,)):
            found.setdefault(batch, []).append(Measured(record, values))
        return found

    def batch(self, number: int) -> JudgedBatch:
        """A batch by its number."""
        row = self._file.row("SELECT * FROM batches WHERE number = ?", (number,))
        if row is None:
            raise KeyError(number)
        return _batch(row)

    def find_batch(self, uid: Hash32) -> JudgedBatch | None:
        """A batch by its uid; None when the epoch was computed without it."""
        row = self._file.row("SELECT * FROM batches WHERE uid = ?", (uid,))
        return None if row is None else _batch(row)

    def notes(self, number: int, records: Sequence[int] | None = None) -> list[tuple[int, str, str]]:
        """Record, code and detail of every verdict on records of a batch, or on these of its records."""
        query = "SELECT record, code, detail FROM notes WHERE batch = ? ORDER BY rowid"
        if records is None:
            return [(record, code, detail) for record, code, detail in self._file.rows(query, (number,))]
        query = "SELECT record, code, detail FROM notes WHERE batch = ? AND record BETWEEN ? AND ? ORDER BY rowid"
        among = set(records)
        found = self._file.rows(query, (number, min(among), max(among)))
        return [(record, code, detail) for record, code, detail in found if record in among]

    def registrations(self, operator: Address) -> list[JudgedRegistration]:
        """Verdicts on an operator's registrations, by uid."""
        query = "SELECT * FROM registrations WHERE operator = ? ORDER BY uid"
        return [_registration(row) for row in self._file.rows(query, (operator,))]

    def refused_registrations(self) -> Iterator[JudgedRegistration]:
        """Registrations that do not count, by uid."""
        for row in self._file.rows("SELECT * FROM registrations WHERE code <> '' ORDER BY uid"):
            yield _registration(row)

    def credited(self, node_id: NodeId) -> dict[CreditKey, int]:
        """Credited Wh of a node's claims."""
        query = "SELECT registry_id, issuance_id, range_start, verifier, credited_wh FROM credited WHERE node_id = ?"
        return {(registry, issuance, start, signer): wh
                for registry, issuance, start, signer, wh in self._file.rows(query, (node_id,))}  # fmt: skip

    def hours_refused(self, node_id: NodeId) -> dict[tuple[Address, str], list[int]]:
        """Refused hours of a node's meters by (verifier, code), ascending."""
        query = "SELECT verifier, code, hour FROM hours_refused WHERE node_id = ? ORDER BY verifier, code, hour"
        found: dict[tuple[Address, str], list[int]] = {}
        for verifier, code, hour in self._file.rows(query, (node_id,)):
            found.setdefault((Address(verifier), code), []).append(hour)
        return found

    def flagged_hours(self, zone: str) -> dict[str, list[int]]:
        """Hours of a zone by what is wanting with their factor: missing, no_residual_mix, estimated."""
        rows = self._file.rows("SELECT flag, hour FROM flagged_hours WHERE zone = ? ORDER BY hour", (zone,))
        return {flag: [hour for which, hour in rows if which == flag] for flag in _FLAGS}


def evidence_index(ledger: Ledger, session: Session, epoch: EpochNumber, attempt: int) -> EvidenceIndex:
    """The index of a computed epoch's attempt, derived now where there is none.

    NotFoundError before the epoch is computed, MismatchError when a file is not what was recorded or stored.
    """
    key = ("evidence index", epoch, attempt)

    def make() -> EvidenceIndex:
        sources = tuple(ledger.artefacts.mapped(session, epoch, attempt, kind) for kind in _SOURCES)
        name = f"evidence-{epoch:08d}-{attempt}"
        build = lambda connection: _build(connection, ledger, session, sources)  # noqa: E731
        digests = (_FORMAT, *(source.digest for source in sources))
        return EvidenceIndex(derived_file(ledger.cache, name, digests, build), sources)

    index = ledger.remembered.get(key, make)
    if not all(source.is_unchanged for source in index.sources):
        ledger.remembered.forget(key)
        index = ledger.remembered.get(key, make)
    return index


def _build(connection: sqlite3.Connection, ledger: Ledger, session: Session, sources: tuple[MappedFile, ...]) -> None:
    import polars as pl

    verdicts, claims, hours, zones = (pl.read_parquet(io.BytesIO(source.view)) for source in sources)
    _write_registrations(connection, session, verdicts)
    batches = _write_verdicts(connection, verdicts)
    _write_records(connection, ledger, batches)
    _write_table(
        connection, "credited", {"node_id": "BLOB", "registry_id": "BLOB", "issuance_id": "BLOB",
                                 "range_start": "INTEGER", "verifier": "BLOB", "credited_wh": "INTEGER"}, claims,
    )  # fmt: skip
    _write_table(
        connection, "hours_refused", {"node_id": "BLOB", "verifier": "BLOB", "code": "TEXT", "hour": "INTEGER"}, hours
    )
    flagged = pl.concat(
        zones.filter(pl.col(flag)).select("zone", pl.lit(flag).alias("flag"), pl.col("hour").cast(pl.Int64))
        for flag in _FLAGS
    )
    _write_table(connection, "flagged_hours", {"zone": "TEXT", "flag": "TEXT", "hour": "INTEGER"}, flagged)


def _write_verdicts(connection: sqlite3.Connection, verdicts: "pl.DataFrame") -> list[Hash32]:
    """The verdicts on batches and their records; the uids of the batches by number."""
    import polars as pl

    from ledger.evidence.judging.verdicts import WHOLE_ITEM

    is_whole, of_batches = pl.col("record") == WHOLE_ITEM, pl.col("kind") == ItemKind.BATCH.value
    whole = verdicts.filter(of_batches & is_whole).with_row_index("number")
    _write_table(
        connection, "batches", {"number": "INTEGER", "uid": "BLOB", "schema": "TEXT", "verifier": "BLOB",
                                "code": "TEXT", "detail": "TEXT"}, whole.rename({"item": "uid"}),
    )  # fmt: skip
    connection.execute("CREATE INDEX batches_by_uid ON batches (uid)")
    notes = verdicts.filter(of_batches & ~is_whole).join(
        whole.select("item", pl.col("number").alias("batch")), on="item", how="left", maintain_order="left"
    )
    columns = {"batch": "INTEGER", "record": "INTEGER", "code": "TEXT", "detail": "TEXT"}
    _write_table(connection, "notes", columns, notes, key="batch, record")
    return [Hash32(uid) for uid in whole["item"].to_list()]


def _write_registrations(connection: sqlite3.Connection, session: Session, verdicts: "pl.DataFrame") -> None:
    """The verdicts on registrations, with their nodes where these were found out ahead of the computation."""
    import polars as pl

    from ledger.steps.computing.registrations import KIND

    nodes: dict[bytes, NodeId] = {}
    for content in parts.every_part(session, KIND):
        known = pl.read_parquet(io.BytesIO(content), columns=["uid", "operator", "serial"])
        nodes |= {uid: node_id(operator, serial) for uid, operator, serial in known.iter_rows()}
    judged = verdicts.filter(pl.col("kind") == ItemKind.REGISTRATION.value)
    connection.execute("CREATE TABLE registrations (operator BLOB, uid BLOB, code TEXT, detail TEXT, node_id BLOB)")
    connection.executemany(
        "INSERT INTO registrations VALUES (?, ?, ?, ?, ?)",
        ((*row, nodes.get(row[1])) for row in judged.select("verifier", "item", "code", "detail").iter_rows()),
    )
    connection.execute("CREATE INDEX registrations_key ON registrations (operator, uid)")
    connection.execute("CREATE INDEX refused ON registrations (uid) WHERE code <> ''")


def _write_records(connection: sqlite3.Connection, ledger: Ledger, batches: list[Hash32]) -> None:
    for schema in Schema:
        measures = ", ".join(f"{name} {'BLOB' if name in _BINARY else 'INTEGER'}" for name in MEASURES[schema])
        kind = "TEXT" if SUBJECT[schema] == "zone" else "BLOB"
        connection.execute(f"CREATE TABLE {schema.title} (subject {kind}, batch INTEGER, record INTEGER, {measures})")
    for number, uid in enumerate(batches):
        batch = _stored(ledger, uid)
        signed_as = batch.header.schema
        if signed_as is not None:
            marks = ", ".join("?" * (3 + len(MEASURES[signed_as])))
            connection.executemany(
                f"INSERT INTO {signed_as.title} VALUES ({marks})",  # noqa: S608
                ((subject, number, *values) for subject, *values in measured(signed_as, batch.records())),
            )
    for schema in Schema:
        connection.execute(f"CREATE INDEX {schema.title}_subjects ON {schema.title} (subject, batch, record)")


def _write_table(
    connection: sqlite3.Connection, table: str, columns: dict[str, str], frame: "pl.DataFrame", key: str = ""
) -> None:
    """The frame's columns in its order; looked up by `key`, by default the first column."""
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(f"CREATE TABLE {table} ({typed})")
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", frame.select(list(columns)).iter_rows())  # noqa: S608
    connection.execute(f"CREATE INDEX {table}_key ON {table} ({key or next(iter(columns))})")


def _stored(ledger: Ledger, uid: Hash32) -> "SignedBatch":
    """The batch with its records' bytes at hand: each file is read once."""
    from ledger.evidence.storage.batch_files import read_batch

    batch = read_batch(ledger.evidence.get(ItemKind.BATCH, uid), ledger.domain)
    if batch.uid != uid:
        raise StoredBytesDifferError(f"the file of batch {to_hex(uid)} holds batch {to_hex(batch.uid)}")
    return batch


def _batch(row: tuple[Any, ...]) -> JudgedBatch:
    number, uid, schema, verifier, code, detail = row
    return JudgedBatch(
        number=number, uid=Hash32(uid), schema=schema, verifier=Address(verifier), code=code, detail=detail
    )


def _registration(row: tuple[Any, ...]) -> JudgedRegistration:
    operator, uid, code, detail, node = row
    return JudgedRegistration(
        uid=Hash32(uid), operator=Address(operator), code=code, detail=detail, node_id=node and NodeId(node)
    )
