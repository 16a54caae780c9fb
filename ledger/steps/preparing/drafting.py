"""A verifier's next batch, before and while it is signed: its place in the sequence, its checks, its signature.

A draft is a batch file whose signature is empty. Whatever the ledger already knows it would refuse later is
refused here, while the sender can still correct it.
"""

from collections.abc import Iterator
from dataclasses import replace

import polars as pl
from sqlalchemy.orm import Session

from ledger.chain.sending.signer import KeySigner
from ledger.db import items
from ledger.db import policies as policy_rows
from ledger.evidence.items.batch import SignedBatch, prepare_batch
from ledger.evidence.items.records import Window
from ledger.evidence.items.signing import check_signer
from ledger.evidence.items.typed_data import Schema
from ledger.evidence.judging.batch_rules import check_window, checked_records
from ledger.evidence.storage.store import ItemKind
from ledger.model.refusals import refused
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32, Timestamp, to_hex
from ledger.steps.ledger import Ledger
from ledger.steps.preparing.registering import eligible_nodes

UNSIGNED = b""
"""The signature of a draft."""


def next_place(ledger: Ledger, verifier: Address, schema: Schema, epoch: EpochNumber) -> tuple[int, Hash32]:
    """The first sequence without a batch in the verifier's chain of an epoch, and the uid before it (R3.12)."""
    with ledger.database.reading() as session:
        found = items.items(session, kind=ItemKind.BATCH.value, epoch=epoch, signer=verifier)
    uids: dict[int, Hash32] = {}
    for item in found:
        if item.schema == schema.title and item.sequence is not None:
            uids[item.sequence] = min(item.uid, uids.get(item.sequence, item.uid))
    sequence = 0
    while sequence in uids:
        sequence += 1
    return sequence, uids[sequence - 1] if sequence else ZERO_HASH


def draft_batch(
    ledger: Ledger,
    schema: Schema,
    records: pl.DataFrame,
    *,
    verifier: Address,
    epoch: EpochNumber,
    window: Window,
    issued_at: Timestamp,
    expires_at: Timestamp,
    place: tuple[int, Hash32],
    known_names: bool = True,
) -> SignedBatch:
    """The batch these records make, records sorted, unsigned. Refuses with the code acceptance would use.

    With `known_names` also nodes and zones this ledger does not know: `node.unknown`, `zone.unknown`.
    """
    header, ordered = prepare_batch(
        schema,
        records,
        verifier=verifier,
        epoch=epoch,
        window=window,
        issued_at=issued_at,
        expires_at=expires_at,
        sequence=place[0],
        previous_batch=place[1],
    )
    check_window(header, epoch, ledger.calendar)
    if known_names:
        with ledger.database.reading() as session:
            for code, what in _unknown_names(ledger, session, schema, epoch, ordered):
                raise refused(code, what)
    return SignedBatch(uid=header.uid(ledger.domain), header=header, signature=UNSIGNED, source=lambda: ordered)


def require_signable(ledger: Ledger, batch: SignedBatch) -> None:
    """Refuse to sign a header its records do not stand behind, or whose window is none of its epoch."""
    checked_records(batch)
    check_window(batch.header, batch.header.epoch, ledger.calendar)


def signed_batch(batch: SignedBatch, signature: bytes) -> SignedBatch:
    """The draft with its signature; refuses with `item.signature` when another account made it."""
    check_signer(batch.uid, signature, batch.header.verifier)
    return replace(batch, signature=signature)


def sign_batch(ledger: Ledger, batch: SignedBatch, key: KeySigner) -> SignedBatch:
    """Check the draft and sign it with its verifier's key; the same draft always gives the same bytes."""
    require_signable(ledger, batch)
    return signed_batch(batch, key.sign_digest(batch.uid))


def _unknown_names(
    ledger: Ledger, session: Session, schema: Schema, epoch: EpochNumber, records: pl.DataFrame
) -> Iterator[tuple[str, str]]:
    """R3.7, as far as this ledger can say now."""
    if schema is not Schema.GRID:
        known = eligible_nodes(ledger, session, epoch)
        strange = [index for index, node in enumerate(records["node_id"].to_list()) if node not in known]
        if strange:
            node = to_hex(records["node_id"][strange[0]])
            yield "node.unknown", f"{len(strange)} records; first {strange[0]}: node {node} is not registered in time"
    if schema in (Schema.GRID, Schema.RENEWABLE):
        tables = policy_rows.all_tables(session)
        zones = {zone for each in tables for zone in each.zones}
        strange = [index for index, zone in enumerate(records["zone"].to_list()) if tables and zone not in zones]
        if strange:
            zone = records["zone"][strange[0]]
            yield "zone.unknown", f"{len(strange)} records; first {strange[0]}: zone {zone!r} is in no tables"
