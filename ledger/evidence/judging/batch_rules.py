"""R3.1 to R3.5 and what else refuses a batch whole; revocations, the first half of R3.6."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ledger.evidence.items.batch import BatchHeader, SignedBatch, check_columns
from ledger.evidence.items.records import MAX_RECORDS, Fault, key_fault, malformed_record
from ledger.evidence.items.revocation import WHOLE_BATCH, SignedRevocation
from ledger.evidence.items.signing import check_signer, recover_signer
from ledger.evidence.items.typed_data import Domain, Schema, record_digests
from ledger.evidence.judging.frozen import FrozenEvidence
from ledger.evidence.judging.roles import role_refusal
from ledger.evidence.judging.sequences import sequence_codes
from ledger.evidence.judging.verdicts import VerdictLog
from ledger.evidence.storage.store import ItemKind
from ledger.model.epoch import EpochCalendar
from ledger.model.refusals import ItemRefusedError, refused
from ledger.model.units import SECONDS_PER_HOUR, ZERO_ADDRESS, Address, EpochNumber, Hash32, to_hex
from ledger.tree.standard import root_of_digests


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingBatch:
    """A batch that no rule refused whole, with its records in key order."""

    uid: Hash32
    header: BatchHeader
    schema: Schema
    records: pl.DataFrame
    revoked_records: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedBatches:
    """Batches that stand, by (verifier, uid); digests of every validly signed batch and revocation."""

    standing: tuple[StandingBatch, ...]
    signed_digests: tuple[Hash32, ...]


def judge_batches(frozen: FrozenEvidence, log: VerdictLog) -> JudgedBatches:
    """Judge all batches and revocations; every verdict on a whole item goes to the log."""
    copies: defaultdict[Hash32, list[SignedBatch]] = defaultdict(list)
    for batch in frozen.batches:
        copies[batch.header.uid(frozen.domain)].append(batch)
    signed: dict[Hash32, BatchHeader] = {}
    for uid in sorted(copies):
        header = copies[uid][0].header
        refusal = _signature_refusal(uid, copies[uid])
        if refusal is None:
            signed[uid] = header
        else:
            _log_batch(log, uid, header, refusal.code, refusal.what)
    revoked, revocation_digests = _judge_revocations(frozen.revocations, signed, frozen.domain, log)
    sequence = sequence_codes(signed)
    roles = frozen.roles.in_epoch(frozen.epoch)
    standing = []
    for uid, header in sorted(signed.items(), key=lambda entry: (entry[1].verifier, entry[0])):
        try:
            if (header.schema_id, header.verifier) not in roles:
                raise role_refusal(header.schema_id, frozen.epoch)
            schema, records = _records_of(copies[uid])
            check_window(header, frozen.epoch, frozen.calendar)
            if sequence[uid]:
                raise refused(sequence[uid], f"sequence {header.sequence} after {to_hex(header.previous_batch)}")
            if WHOLE_BATCH in revoked[uid]:
                raise refused("batch.revoked", "revoked before the freeze")
            _check_form(malformed_record(schema, records, header.window))
        except ItemRefusedError as error:
            _log_batch(log, uid, header, error.code, error.what)
            continue
        _log_batch(log, uid, header, "", f"{records.height} records")
        standing.append(
            StandingBatch(
                uid=uid, header=header, schema=schema, records=records, revoked_records=frozenset(revoked[uid])
            )
        )
    return JudgedBatches(standing=tuple(standing), signed_digests=(*signed, *revocation_digests))


def check_window(header: BatchHeader, epoch: EpochNumber, calendar: EpochCalendar) -> None:
    """R3.4: whole hours inside the epoch, and windowEnd ≤ issuedAt ≤ cut-off ≤ expiresAt."""
    start, end = header.window_start, header.window_end
    whole = start % SECONDS_PER_HOUR == 0 and end % SECONDS_PER_HOUR == 0
    if header.epoch != epoch or not whole or not calendar.start(epoch) <= start < end <= calendar.end(epoch):
        raise refused("batch.window", f"{start} to {end} of epoch {header.epoch} is no window of epoch {epoch}")
    if header.issued_at < end:
        raise refused("batch.early", f"issued at {header.issued_at}, but its window ends at {end}")
    cut_off = calendar.cut_off(epoch)
    if header.issued_at > cut_off:
        raise refused("batch.late", f"issued at {header.issued_at}, after the cut-off {cut_off}")
    if header.expires_at < cut_off:
        raise refused("batch.expired", f"expires at {header.expires_at}, before the cut-off {cut_off}")


def checked_records(batch: SignedBatch) -> tuple[Schema, pl.DataFrame]:
    """R3.3: the batch's schema and records, after count, order and root were found right."""
    header = batch.header
    schema = header.schema
    if schema is None:
        raise refused("batch.schema", f"no schema has the id {to_hex(header.schema_id)}")
    if header.record_count == 0:
        raise refused("batch.empty", "the header counts no records")
    if header.record_count > MAX_RECORDS:
        raise refused("batch.count", f"the header counts {header.record_count} records, at most {MAX_RECORDS}")
    records = batch.records()
    check_columns(schema, records)
    if records.height != header.record_count:
        raise refused("batch.count", f"the header counts {header.record_count} records, there are {records.height}")
    code = key_fault(schema, records)
    if code:
        raise refused(code, f"the keys of the {schema.title} records do not ascend strictly")
    try:
        root = root_of_digests(record_digests(schema, records))
    except ItemRefusedError as error:
        raise refused("record.malformed", error.what) from error
    if root != header.records_root:
        raise refused("batch.root", f"the records hash to {to_hex(root)}, signed was {to_hex(header.records_root)}")
    return schema, records


def _signature_refusal(uid: Hash32, copies: Sequence[SignedBatch]) -> ItemRefusedError | None:
    """Why no copy of the batch is validly signed; None when one is."""
    refusals = []
    for signature in sorted({copy.signature for copy in copies}):
        try:
            check_signer(uid, signature, copies[0].header.verifier)
        except ItemRefusedError as error:
            refusals.append(error)
        else:
            return None
    return refusals[0]


def _records_of(copies: Sequence[SignedBatch]) -> tuple[Schema, pl.DataFrame]:
    """R3.3. A signed header may arrive with foreign records: the copy that fits the root counts."""
    refusals = []
    for copy in copies:
        try:
            return checked_records(copy)
        except ItemRefusedError as error:
            refusals.append(error)
    raise min(refusals, key=lambda error: (error.code, error.what))


def _check_form(fault: Fault | None) -> None:
    if fault is not None:
        raise refused(fault.code, f"record {fault.index}: {fault.detail}")


def _judge_revocations(
    revocations: Sequence[SignedRevocation], signed: dict[Hash32, BatchHeader], domain: Domain, log: VerdictLog
) -> tuple[defaultdict[Hash32, set[int]], list[Hash32]]:
    """Revoked record numbers per batch uid, and the digests of validly signed revocations."""
    revoked: defaultdict[Hash32, set[int]] = defaultdict(set)
    verdicts: dict[Hash32, tuple[str, str, bool]] = {}
    signers: dict[Hash32, Address] = {}
    for item in sorted(revocations, key=lambda item: (item.uid, item.signature)):
        revocation = item.revocation
        uid = revocation.digest(domain)
        header = signed.get(revocation.batch_uid)
        signers[uid] = header.verifier if header else ZERO_ADDRESS
        try:
            check_revocation(item, uid, header)
        except ItemRefusedError as error:
            verdicts.setdefault(uid, (error.code, error.what, error.code == "revocation.unknown-record"))
        else:
            verdicts[uid] = ("", "", True)
            revoked[revocation.batch_uid].add(revocation.record)
    for uid, (code, detail, _) in verdicts.items():
        log.item(ItemKind.REVOCATION, uid, signers[uid], code, detail)
    return revoked, [uid for uid, (_, _, is_signed) in verdicts.items() if is_signed]


def check_revocation(item: SignedRevocation, uid: Hash32, header: BatchHeader | None) -> None:
    """R3.1 for revocations: signed by the verifier of the batch it names, for a record the batch has."""
    signer = recover_signer(uid, item.signature)
    number = item.revocation.record
    if header is None:
        raise refused("revocation.unknown-batch", f"no batch {to_hex(item.revocation.batch_uid)} in this epoch")
    if signer != header.verifier:
        raise refused("revocation.not-verifier", f"signed by {to_hex(signer)}, the batch by {to_hex(header.verifier)}")
    if number != WHOLE_BATCH and number >= header.record_count:
        raise refused("revocation.unknown-record", f"record {number} of {header.record_count}")


def _log_batch(log: VerdictLog, uid: Hash32, header: BatchHeader, code: str, detail: str) -> None:
    schema = header.schema.title if header.schema else ""
    log.item(ItemKind.BATCH, uid, header.verifier, code, detail, schema=schema)
