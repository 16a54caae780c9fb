"""The evidence behind one node's statement: every batch that speaks of it, and everything refused, with the remedy.

Read from the verdicts of the epoch's computation and the stored batches themselves; nothing is judged again.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl
from sqlalchemy.orm import Session

from ledger.db import items
from ledger.evidence.batch import SignedBatch
from ledger.evidence.files import read_batch, read_registration
from ledger.evidence.roles import RoleBook
from ledger.evidence.store import ItemKind, StoredBytesDifferError
from ledger.evidence.typed_data import Schema, schema_of
from ledger.evidence.verdicts import WHOLE_ITEM
from ledger.model.allocation import NodeStatement
from ledger.model.refusals import REFUSALS
from ledger.model.units import PPM, Address, EpochNumber, Hash32, NodeId, to_hex
from ledger.steps.answers.record_summary import CLAIM_KEY, summary
from ledger.steps.ledger import Ledger

_WITHOUT_RESIDUAL_MIX, _ESTIMATED, _MISSING = "grid.no-residual-mix", "grid.estimated", "grid.missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchUse:
    """One batch with records about the node (for grid factors: its zone) and what became of it."""

    uid: Hash32
    schema: str
    verifier: Address
    verdict: str
    """`accepted`, or the code that refused the whole batch."""
    records: tuple[int, ...]
    """The node's records in it, by index in key order."""
    counted: int
    """How many of them count."""
    says: Mapping[str, int | str]
    """What the records say, in the units of the schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing that did not count, or not as sent: what, why, and what to do about it."""

    scope: str
    """registration, batch, record, hour, node or door."""
    code: str
    item: Hash32 | None
    verifier: Address | None
    where: str
    """Record index or hours, in words; empty for the whole item."""
    detail: str

    @property
    def meaning(self) -> str:
        """What the code means, for ever the same."""
        return REFUSALS[self.code].meaning if self.code in REFUSALS else self.detail

    @property
    def remedy(self) -> str:
        """The next thing to do."""
        return REFUSALS[self.code].remedy if self.code in REFUSALS else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvidence:
    """Everything about one node in one epoch."""

    registration: Hash32 | None
    """The registration that counts."""
    batches: tuple[BatchUse, ...]
    refusals: tuple[Refusal, ...]


class EpochEvidence:
    """The verdicts and files of one computed epoch, read once."""

    def __init__(self, ledger: Ledger, session: Session, epoch: EpochNumber, attempt: int) -> None:
        def frame(kind: str) -> pl.DataFrame:
            return pl.read_parquet(io.BytesIO(ledger.artefacts.read(session, epoch, attempt, kind)))

        self._ledger, self._epoch = ledger, epoch
        self._verdicts = frame("verdicts")
        self._claims = frame("claims-credited")
        self._hours_refused = frame("hours-refused")
        self._zone_hours = frame("zone-hours")
        self._roles = RoleBook.from_json(ledger.artefacts.read(session, epoch, attempt, "roles"))
        self._door = items.refusals(session, epoch=epoch)

    def of_node(self, paid: NodeStatement) -> NodeEvidence:
        """What was used and what was refused for a node with a statement."""
        registration, replaced = self._registrations(paid)
        batches, refused = [], list(replaced)
        credited = self._credited(paid.node_id)
        for uid, schema, verifier, code, detail in self._whole_batches():
            use, refusals = self._batch(paid, uid, schema, verifier, code, detail, credited)
            if use is not None:
                batches.append(use)
                refused += refusals
        refused += [*self._hours(paid.node_id), *self._zone(paid), *_reasons(paid), *self._at_the_door(paid)]
        order = {schema.title: place for place, schema in enumerate(Schema)}
        return NodeEvidence(
            registration=registration,
            batches=tuple(sorted(batches, key=lambda use: (order.get(use.schema, len(order)), use.verifier, use.uid))),
            refusals=tuple(refused),
        )

    def refused_registration(self, digits: str) -> tuple[NodeId, Refusal] | None:
        """The first node whose id begins so and whose registrations all were refused, with the last reason."""
        for uid, operator, code, detail in self._registration_verdicts(pl.col("code") != ""):
            node = self._node_of(uid)
            if node.hex().startswith(digits):
                return node, _refusal("registration", code, uid, operator, "", detail)
        return None

    def _whole_batches(self) -> Iterator[tuple[Hash32, str, Address, str, str]]:
        whole = self._verdicts.filter((pl.col("kind") == ItemKind.BATCH.value) & (pl.col("record") == WHOLE_ITEM))
        for uid, schema, verifier, code, detail in whole.select(
            "item", "schema", "verifier", "code", "detail"
        ).iter_rows():
            yield Hash32(uid), schema, Address(verifier), code, detail

    def _batch(
        self,
        paid: NodeStatement,
        uid: Hash32,
        title: str,
        verifier: Address,
        code: str,
        detail: str,
        credited: dict[tuple[bytes, ...], int],
    ) -> tuple[BatchUse | None, list[Refusal]]:
        batch = self._stored(uid)
        schema = batch.header.schema
        found = _records_about(batch, schema, paid) if schema is not None else None
        if schema is None or found is None or not found.height:
            return None, []
        of_records = self._verdicts.filter((pl.col("item") == uid) & (pl.col("record") != WHOLE_ITEM))
        notes = {record: (why, text) for record, why, text in of_records.select("record", "code", "detail").iter_rows()}
        records = tuple(found["record"].to_list())
        refusals = [_refusal("batch", code, uid, verifier, "", detail)] if code else []
        for record in records:
            why, text = notes.get(record, ("", ""))
            if why or text:
                refusals.append(_refusal("record", why, uid, verifier, f"record {record}", text))
        counting = [] if code else [record for record in records if not notes.get(record, ("", ""))[0]]
        use = BatchUse(
            uid=uid,
            schema=title,
            verifier=verifier,
            verdict=code or "accepted",
            records=records,
            counted=len(counting),
            says=summary(schema, found, verifier, credited if not code else {}),
        )
        return use, refusals

    def _stored(self, uid: Hash32) -> SignedBatch:
        """The batch with its records' bytes at hand: each file is read once."""
        batch = read_batch(self._ledger.evidence.get(ItemKind.BATCH, uid), self._ledger.domain)
        if batch.uid != uid:
            raise StoredBytesDifferError(f"the file of batch {to_hex(uid)} holds batch {to_hex(batch.uid)}")
        return batch

    def _credited(self, node_id: NodeId) -> dict[tuple[bytes, ...], int]:
        rows = self._claims.filter(pl.col("node_id") == node_id).select(*CLAIM_KEY, "credited_wh").iter_rows()
        return {tuple(key): wh for *key, wh in rows}

    def _hours(self, node_id: NodeId) -> Iterator[Refusal]:
        """Energy readings outside the bounds, a line for each meter and code."""
        mine = self._hours_refused.filter(pl.col("node_id") == node_id)
        grouped = mine.group_by("verifier", "code").agg(pl.col("hour").sort()).sort("verifier", "code")
        for verifier, code, hours in grouped.iter_rows():
            yield _refusal("hour", code, None, Address(verifier), _hours_text(hours), "")

    def _zone(self, paid: NodeStatement) -> Iterator[Refusal]:
        """Hours whose grid factor is not what a data verifier measured."""
        zone = self._zone_hours.filter(pl.col("zone") == paid.zone)
        flags = {_MISSING: "missing", _WITHOUT_RESIDUAL_MIX: "no_residual_mix", _ESTIMATED: "estimated"}
        for code, column in flags.items():
            hours = zone.filter(pl.col(column))["hour"].to_list()
            if hours:
                yield _refusal("hour", code, None, None, f"zone {paid.zone}, {_hours_text(hours)}", "")

    def _registrations(self, paid: NodeStatement) -> tuple[Hash32 | None, list[Refusal]]:
        counting: Hash32 | None = None
        refused = []
        for uid, operator, code, detail in self._registration_verdicts(pl.col("verifier") == paid.operator):
            if self._node_of(uid) != paid.node_id:
                continue
            if code:
                refused.append(_refusal("registration", code, uid, operator, "", detail))
            else:
                counting = uid
        return counting, refused

    def _registration_verdicts(self, which: pl.Expr) -> Iterator[tuple[Hash32, Address, str, str]]:
        mine = self._verdicts.filter((pl.col("kind") == ItemKind.REGISTRATION.value) & which)
        for uid, operator, code, detail in mine.select("item", "verifier", "code", "detail").iter_rows():
            yield Hash32(uid), Address(operator), code, detail

    def _node_of(self, uid: Hash32) -> NodeId:
        content = self._ledger.evidence.get(ItemKind.REGISTRATION, uid)
        return read_registration(content, self._ledger.domain).registration.node_id

    def _at_the_door(self, paid: NodeStatement) -> Iterator[Refusal]:
        """Batches that never got in, of verifiers whose records the node lacks: they may have spoken of it."""
        lacking = self._lacking(paid)
        senders = {
            verifier for schema_id, verifier in self._roles.in_epoch(self._epoch) if schema_of(schema_id) in lacking
        }
        for refusal in self._door:
            if refusal.kind == ItemKind.BATCH.value and refusal.signer in senders:
                yield _refusal("door", refusal.code, refusal.uid, refusal.signer, "", refusal.detail)

    def _lacking(self, paid: NodeStatement) -> set[Schema]:
        """Of which kinds of records there were not enough."""
        zone = self._zone_hours.filter(pl.col("zone") == paid.zone)
        wanting = {
            Schema.UPTIME: paid.hours_unobserved + paid.hours_unresolved > 0 or paid.capacity == 0,
            Schema.ENERGY: paid.hours_charged > 0,
            Schema.RENEWABLE: paid.match_ppm < PPM,
            Schema.GRID: bool(zone["missing"].any()),
        }
        return {schema for schema, is_wanting in wanting.items() if is_wanting}


def _records_about(batch: SignedBatch, schema: Schema, paid: NodeStatement) -> pl.DataFrame:
    mine = pl.col("zone") == paid.zone if schema is Schema.GRID else pl.col("node_id") == paid.node_id
    return batch.records().with_row_index("record").filter(mine)


def _reasons(paid: NodeStatement) -> Iterator[Refusal]:
    counts = {
        "energy.missing": f"hours: {paid.hours_charged}",
        "energy.disputed": f"hours: {paid.hours_disputed}",
        "quorum.capacity": f"passes: {paid.capacity_passes}, fails: {paid.capacity_fails}",
        "quorum.unresolved": f"hours: {paid.hours_unresolved}",
        "quorum.verifier-outage": f"hours unobserved: {paid.hours_unobserved}",
    }
    for code in paid.reasons.split(","):
        if code in counts:  # an implausible hour is listed with its meter
            yield _refusal("node", code, None, None, counts[code], "")


def _refusal(scope: str, code: str, item: Hash32 | None, verifier: Address | None, where: str, detail: str) -> Refusal:
    return Refusal(scope=scope, code=code, item=item, verifier=verifier, where=where, detail=detail)


def _hours_text(hours: list[int]) -> str:
    """Hours as runs: `hours 0-3, 7`."""
    runs: list[list[int]] = []
    for hour in sorted(hours):
        if runs and hour == runs[-1][1] + 1:
            runs[-1][1] = hour
        else:
            runs.append([hour, hour])
    texts = [f"{first}" if first == last else f"{first}-{last}" for first, last in runs]
    return ("hour " if len(hours) == 1 else "hours ") + ", ".join(texts)
