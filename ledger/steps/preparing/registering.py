"""Registering a node: the next registration an operator signs about it, and taking it in."""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy.orm import Session

from ledger.chain.sending.signer import KeySigner
from ledger.db import items
from ledger.db import policies as policy_rows
from ledger.evidence.items.registration import NodeRegistration, SignedRegistration
from ledger.evidence.items.signing import check_signer
from ledger.evidence.storage.item_files import read_registration
from ledger.evidence.storage.store import ItemKind
from ledger.model.errors import InvariantError, NotFoundError
from ledger.model.refusals import refused
from ledger.model.units import Address, EpochNumber, NodeId, to_hex
from ledger.steps.ledger import Ledger

RETIRED_MODEL = "retired"
"""The model in the registration that retires a node; no tables know it."""


class NodeUnknownError(NotFoundError):
    """No registration of this node has come in."""

    code = "node.not-registered"
    default_hint = "ath-ledger node list"


def registrations(ledger: Ledger, session: Session, operator: Address | None = None) -> Iterator[SignedRegistration]:
    """Every registration taken in, by arrival; of one operator, or of all."""
    for item in items.items(session, kind=items.REGISTRATION, signer=operator):
        yield read_registration(ledger.evidence.get(ItemKind.REGISTRATION, item.uid), ledger.domain)


def eligible_nodes(ledger: Ledger, session: Session, epoch: EpochNumber) -> set[NodeId]:
    """Nodes with a registration that arrived before the epoch and whose validity holds it (R1.5); GPUs not judged."""
    start, end = ledger.calendar.start(epoch), ledger.calendar.end(epoch)
    eligible: set[NodeId] = set()
    for item in items.items(session, kind=items.REGISTRATION):
        if item.received_at < start:
            registration = read_registration(
                ledger.evidence.get(ItemKind.REGISTRATION, item.uid), ledger.domain
            ).registration
            if registration.valid_from <= start and end <= registration.valid_to:
                eligible.add(registration.node_id)
    return eligible


def history(ledger: Ledger, node: NodeId, operator: Address | None = None) -> list[SignedRegistration]:
    """A node's registrations by sequence; empty before the first."""
    with ledger.database.reading() as session:
        found = [each for each in registrations(ledger, session, operator) if each.registration.node_id == node]
    return sorted(found, key=lambda each: (each.registration.sequence, each.uid))


def next_sequence(ledger: Ledger, registration: NodeRegistration) -> int:
    """The first sequence this node has not used yet."""
    before = history(ledger, registration.node_id, registration.operator)
    return before[-1].registration.sequence + 1 if before else 0


def require_registrable(ledger: Ledger, registration: NodeRegistration, *, known_words: bool = True) -> None:
    """Refuse what acceptance would: `registration.malformed`, `zone.unknown`, `model.unknown`, `registration.fork`."""
    for fault in registration.faults():
        raise refused("registration.malformed", fault)
    with ledger.database.reading() as session:
        known = policy_rows.all_tables(session) if known_words else []
    if known and not any(registration.zone in tables.zones for tables in known):
        raise refused("zone.unknown", f"zone {registration.zone!r} is in no tables of this ledger")
    if known and not any(registration.model in tables.models for tables in known):
        raise refused("model.unknown", f"model {registration.model!r} is in no tables of this ledger")
    uid = registration.digest(ledger.domain)
    for before in history(ledger, registration.node_id, registration.operator):
        if before.registration.sequence == registration.sequence and before.uid != uid:
            raise refused(
                "registration.fork",
                f"node {to_hex(registration.node_id)} has sequence {registration.sequence} with other content already",
            )


def retirement(ledger: Ledger, node: NodeId) -> NodeRegistration:
    """The registration that takes a node out of every epoch that begins after it arrived.

    A shorter validity would not: among those valid in an epoch the highest sequence counts (R1.5), so an older
    registration would return. One that counts and names no known model is refused and none returns (R1.7).
    Registering the node again under the next sequence brings it back. Raises NodeUnknownError.
    """
    before = [each.registration for each in history(ledger, node)]
    if not before:
        raise NodeUnknownError(f"no registration of node {to_hex(node)} has come in")
    with ledger.database.reading() as session:
        if any(RETIRED_MODEL in tables.models for tables in policy_rows.all_tables(session)):
            raise InvariantError(f"the tables of this ledger know a model named {RETIRED_MODEL!r}")
    return replace(
        before[-1],
        model=RETIRED_MODEL,
        valid_from=min(each.valid_from for each in before),
        valid_to=max(each.valid_to for each in before),
        sequence=before[-1].sequence + 1,
    )


def signed_registration(ledger: Ledger, key: KeySigner, registration: NodeRegistration) -> SignedRegistration:
    """Sign with the operator's key; refuses with `item.signature` when it is another account's."""
    uid = registration.digest(ledger.domain)
    signature = key.sign_digest(uid)
    check_signer(uid, signature, registration.operator)
    return SignedRegistration(uid=uid, registration=registration, signature=signature)
