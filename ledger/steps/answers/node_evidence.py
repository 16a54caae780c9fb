"""The evidence behind one node's statement: every batch that speaks of it, and everything refused, with the remedy.

Read from the verdicts of the epoch's computation and the stored batches themselves; nothing is judged again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from ledger.db import epochs, items
from ledger.db.epochs import EpochStanding
from ledger.db.items import DoorRefusal
from ledger.evidence.items.typed_data import Schema, schema_of
from ledger.evidence.judging.roles import RoleBook
from ledger.evidence.storage.store import ItemKind
from ledger.model.allocation import NodeStatement
from ledger.model.epoch import EpochState
from ledger.model.refusals import REFUSALS
from ledger.model.units import PPM, Address, Hash32, NodeId
from ledger.steps.answers.index.evidence_index import (
    EvidenceIndex,
    JudgedBatch,
    JudgedRegistration,
    evidence_index,
)
from ledger.steps.answers.record_summary import SUBJECT, CreditKey, Measured, summary
from ledger.steps.ledger import Ledger

_FLAGS: Final = {
    "grid.missing": "missing",
    "grid.no-residual-mix": "no_residual_mix",
    "grid.estimated": "estimated",
}


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
    """What one computed epoch says about its nodes, one node at a time."""

    def __init__(self, ledger: Ledger, session: Session, standing: EpochStanding) -> None:
        self._ledger, self._session, self._standing = ledger, session, standing
        epoch, attempt = standing.epoch, standing.attempt
        self._index: EvidenceIndex = evidence_index(ledger, session, epoch, attempt)
        self._roles: RoleBook = ledger.remembered.get(
            ("roles", epoch, attempt),
            lambda: RoleBook.from_json(ledger.artefacts.read(session, epoch, attempt, "roles")),
        )

    def of_node(self, paid: NodeStatement) -> NodeEvidence:
        """What was used and what was refused for a node with a statement."""
        registration, refused = self._registrations(paid)
        uses, credited = [], self._index.credited(paid.node_id)
        for number, (schema, records) in sorted(self._records(paid).items()):
            use, refusals = self._use(number, schema, records, credited)
            uses.append(use)
            refused += refusals
        flagged = self._index.flagged_hours(paid.zone)
        refused += [
            *self._hours(paid.node_id), *_zone(paid, flagged), *_reasons(paid), *self._at_the_door(paid, flagged)
        ]  # fmt: skip
        order = {schema.title: place for place, schema in enumerate(Schema)}
        return NodeEvidence(
            registration=registration,
            batches=tuple(sorted(uses, key=lambda use: (order.get(use.schema, len(order)), use.verifier, use.uid))),
            refusals=tuple(refused),
        )

    def refused_registration(self, digits: str) -> tuple[NodeId, Refusal] | None:
        """The first node whose id begins so and whose registrations all were refused, with the last reason."""
        for each in self._index.refused_registrations():
            node = self._node_of(each)
            if node.hex().startswith(digits):
                return node, _refusal("registration", each.code, each.uid, each.operator, "", each.detail)
        return None

    def _records(self, paid: NodeStatement) -> dict[int, tuple[Schema, list[Measured]]]:
        """The records about the node, or its zone, by the number of their batch."""
        return {
            number: (schema, records)
            for schema in Schema
            for number, records in self._index.records(
                schema, paid.zone if SUBJECT[schema] == "zone" else paid.node_id
            ).items()
        }

    def _use(
        self, number: int, schema: Schema, records: list[Measured], credited: dict[CreditKey, int]
    ) -> tuple[BatchUse, list[Refusal]]:
        batch = self._index.batch(number)
        places = tuple(each.record for each in records)
        notes = {record: (code, detail) for record, code, detail in self._index.notes(number, places)}
        use = BatchUse(
            uid=batch.uid,
            schema=batch.schema,
            verifier=batch.verifier,
            verdict=batch.code or "accepted",
            records=places,
            counted=0 if batch.code else sum(not notes.get(record, ("", ""))[0] for record in places),
            says=summary(schema, records, batch.verifier, credited if not batch.code else {}),
        )
        return use, [*_of_batch(batch), *_of_records(batch, notes)]

    def _hours(self, node_id: NodeId) -> Iterator[Refusal]:
        """Energy readings outside the bounds, a line for each meter and code."""
        for (verifier, code), hours in self._index.hours_refused(node_id).items():
            yield _refusal("hour", code, None, verifier, _hours_text(hours), "")

    def _registrations(self, paid: NodeStatement) -> tuple[Hash32 | None, list[Refusal]]:
        counting: Hash32 | None = None
        refused = []
        for each in self._index.registrations(paid.operator):
            if self._node_of(each) != paid.node_id:
                continue
            if each.code:
                refused.append(_refusal("registration", each.code, each.uid, each.operator, "", each.detail))
            else:
                counting = each.uid
        return counting, refused

    def _node_of(self, registration: JudgedRegistration) -> NodeId:
        def read() -> NodeId:
            from ledger.evidence.storage.item_files import read_registration

            content = self._ledger.evidence.get(ItemKind.REGISTRATION, registration.uid)
            return read_registration(content, self._ledger.domain).registration.node_id

        return registration.node_id or self._ledger.nodes_registered.get(registration.uid, read)

    def _at_the_door(self, paid: NodeStatement, flagged: Mapping[str, list[int]]) -> Iterator[Refusal]:
        """Batches that never got in, of verifiers whose records the node lacks: they may have spoken of it."""
        lacking = _lacking(paid, flagged)
        senders = {
            verifier
            for schema_id, verifier in self._roles.in_epoch(self._standing.epoch)
            if schema_of(schema_id) in lacking
        }
        if not senders:
            return
        for refusal in self._refused_batches():
            if refusal.signer in senders:
                yield _refusal("door", refusal.code, refusal.uid, refusal.signer, "", refusal.detail)

    def _refused_batches(self) -> tuple[DoorRefusal, ...]:
        """Batches of the epoch's verifiers that never got in. Of a final epoch for ever the same: what comes after it
        became final changes no answer about it.
        """
        if self._standing.state is not EpochState.FINAL:
            return self._read_refused_batches(None)

        def as_it_became_final() -> tuple[DoorRefusal, ...]:
            final = epochs.facts(self._session, self._standing.epoch, EpochState.FINAL)
            return self._read_refused_batches(final["lastRefusal"])

        key = ("refused batches", self._standing.epoch, self._standing.version)
        return self._ledger.remembered.get(key, as_it_became_final)

    def _read_refused_batches(self, last: int | None) -> tuple[DoorRefusal, ...]:
        verifiers = {verifier for _, verifier in self._roles.in_epoch(self._standing.epoch)}
        found = items.refusals(self._session, epoch=self._standing.epoch, signers=verifiers, up_to=last)
        return tuple(each for each in found if each.kind == ItemKind.BATCH.value)


def _of_batch(batch: JudgedBatch) -> Iterator[Refusal]:
    if batch.code:
        yield _refusal("batch", batch.code, batch.uid, batch.verifier, "", batch.detail)


def _of_records(batch: JudgedBatch, notes: Mapping[int, tuple[str, str]]) -> Iterator[Refusal]:
    for record, (code, detail) in sorted(notes.items()):
        if code or detail:
            yield _refusal("record", code, batch.uid, batch.verifier, f"record {record}", detail)


def _zone(paid: NodeStatement, flagged: Mapping[str, list[int]]) -> Iterator[Refusal]:
    """Hours whose grid factor is not what a data verifier measured."""
    for code, flag in _FLAGS.items():
        if flagged[flag]:
            yield _refusal("hour", code, None, None, f"zone {paid.zone}, {_hours_text(flagged[flag])}", "")


def _lacking(paid: NodeStatement, flagged: Mapping[str, list[int]]) -> set[Schema]:
    """Of which kinds of records there were not enough."""
    wanting = {
        Schema.UPTIME: paid.hours_unobserved + paid.hours_unresolved > 0 or paid.capacity == 0,
        Schema.ENERGY: paid.hours_charged > 0,
        Schema.RENEWABLE: paid.match_ppm < PPM,
        Schema.GRID: bool(flagged["missing"]),
    }
    return {schema for schema, is_wanting in wanting.items() if is_wanting}


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
