"""Proofs out of the workspace, checked before they are handed out."""

import io
from collections.abc import Iterator
from typing import Any, Final

import polars as pl
from sqlalchemy.orm import Session

from ledger.audit.proving.checking import check_proof
from ledger.audit.proving.entry_proof import entry_proof
from ledger.audit.proving.extension_proof import extension_proof
from ledger.audit.proving.proof import proof_bytes
from ledger.audit.proving.record_proof import record_proof
from ledger.books.posting import Chain
from ledger.books.verify import JournalEntry
from ledger.db import corrections, epochs, items, journal
from ledger.evidence.items.typed_data import record_digests
from ledger.evidence.storage.store import ItemKind, stored_batch
from ledger.model.epoch import SEALED_STATES
from ledger.model.errors import MismatchError, NotFoundError, UsageError
from ledger.model.header import EpochHeader
from ledger.model.units import EpochNumber, Hash32, to_hex
from ledger.steps.auditing.epochs import require_sealed, seal_of
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_from_document, header_of
from ledger.steps.transitions.seal import manifest_of
from ledger.tree.standard import StandardTree

_DIGEST: Final = ("bytes32",)
_NOT_SIGNED: Final = (
    "item.signature", "item.signature-high-s",
    "revocation.not-verifier", "revocation.unknown-batch",
)  # fmt: skip
"""R3.1: what does not hold these is no evidence and stands in no root."""


def prove_entry(ledger: Ledger, seq: int) -> bytes:
    """The proof of a journal entry: a seal-chain entry up to the next header, a log entry up to the log's head.

    NotFoundError for no such entry, or one that no sealed epoch covers yet.
    """
    with ledger.database.reading() as session:
        found = journal.entries(session, after=seq - 1, up_to=seq)
        if not found:
            raise NotFoundError(f"the journal has no entry {seq}", hint="ath-ledger audit journal")
        (entry,) = found
        header, last = (
            _next_head(session, entry) if entry.chain is Chain.SEAL else (None, int(journal.last_seq(session)))
        )
        following = journal.entries(session, chain=entry.chain, after=seq, up_to=last)
        document = entry_proof(entry, journal.transfers(session, seq), [each.canonical for each in following], header)
    return _checked(document)


def prove_extension(ledger: Ledger, first: EpochNumber, last: EpochNumber) -> bytes:
    """The proof that the seal chain at epoch `last` continues the one at epoch `first`."""
    if first >= last:
        raise UsageError(f"epoch {last} is not after epoch {first}", hint="ath-ledger audit prove-extension --help")
    for number in range(first, last + 1):
        require_sealed(ledger, EpochNumber(number))
    with ledger.database.reading() as session:
        heads = [head for number in range(first, last + 1) for head in _heads(session, EpochNumber(number))]
        start = seal_of(session, first)
        between = journal.entries(session, chain=Chain.SEAL, after=start.seq, up_to=heads[-1][1])
        headers = [header for header, _ in heads]
        document = extension_proof(headers, start.number, [each.canonical for each in between])
    return _checked(document)


def prove_record(ledger: Ledger, uid: Hash32, record: int) -> bytes:
    """The proof of one record of a batch of a sealed epoch. NotFoundError for no such batch or record."""
    with ledger.database.reading() as session:
        item = items.find(session, uid)
        if item is None or item.kind != ItemKind.BATCH.value or item.epoch is None:
            raise NotFoundError(f"no batch {to_hex(uid)} is here", hint="ath-ledger batch list")
        epoch = item.epoch
    require_sealed(ledger, epoch)
    batch = stored_batch(ledger.evidence, uid, ledger.domain)
    schema, frame = batch.header.schema, batch.records()
    if schema is None or not 0 <= record < frame.height:
        raise NotFoundError(f"batch {to_hex(uid)} has records 0 to {frame.height - 1}", hint="ath-ledger batch show")
    records = StandardTree.of(_DIGEST, [(digest,) for digest in record_digests(schema, frame)])
    with ledger.database.reading() as session:
        manifest, header = manifest_of(session, epoch), header_of(session, epoch)
        digests = _signed_digests(ledger, session, epoch)
    if uid not in digests:
        raise NotFoundError(f"batch {to_hex(uid)} came after the freeze or is not validly signed: no root holds it")
    evidence = StandardTree.of(_DIGEST, [(digest,) for digest in digests])
    if evidence.root != manifest.evidence_root:
        raise MismatchError(
            f"the evidence of epoch {epoch} is not what its manifest says", hint="ath-ledger audit verify"
        )
    return _checked(
        record_proof(
            ledger.domain,
            batch,
            schema,
            frame.row(record, named=True),
            records.proof_at(record),
            evidence.proof_at(digests.index(uid)),
            manifest,
            header,
        )
    )


def _next_head(session: Session, entry: JournalEntry) -> tuple[EpochHeader, int]:
    """The first header whose head is the entry or comes after it, and that head's seq."""
    for standing in epochs.all_standings(session):
        if standing.state in SEALED_STATES:
            for header, seq in _heads(session, standing.epoch):
                if seq >= entry.seq:
                    return header, seq
    raise NotFoundError(f"no sealed epoch covers entry {entry.seq} yet", hint="ath-ledger epoch list")


def _heads(session: Session, epoch: EpochNumber) -> Iterator[tuple[EpochHeader, int]]:
    """A sealed epoch's header and its corrections' in order, each with the seq of the entry that is its head."""
    yield header_of(session, epoch), seal_of(session, epoch).seq
    for number in range(1, corrections.booked_count(session, epoch) + 1):
        entry = journal.find(session, corrections.correction_key(epoch, number))
        stored = None if entry is None else corrections.headed_by(session, entry.hash)
        if entry is None or stored is None:
            raise MismatchError(
                f"correction {number} of epoch {epoch} is booked and not kept", hint="ath-ledger doctor"
            )
        yield header_from_document(stored.header), entry.seq


def _signed_digests(ledger: Ledger, session: Session, epoch: EpochNumber) -> list[Hash32]:
    """The digests behind the evidence root (E5.1), ascending."""
    attempt = epochs.current(session, epoch).attempt
    verdicts = pl.read_parquet(io.BytesIO(ledger.artefacts.read(session, epoch, attempt, "verdicts")))
    whole = verdicts.filter((pl.col("record") < 0) & ~pl.col("code").is_in(list(_NOT_SIGNED)))
    return [Hash32(uid) for uid in sorted(set(whole["item"].to_list()))]


def _checked(document: dict[str, Any]) -> bytes:
    content = proof_bytes(document)
    check_proof(content)
    return content
