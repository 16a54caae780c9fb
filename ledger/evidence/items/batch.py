"""A batch: one signed header over up to 65,536 records of one schema for one window.

The header alone is signed; the records stand behind its root. They are loaded when asked for, so that an
epoch's index of batches fits in memory whatever the batches weigh.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from ledger.evidence.items.records import (
    MAX_RECORDS,
    RECORD_COLUMNS,
    Window,
    bound_faults,
    key_fault,
    malformed_record,
    sort_records,
)
from ledger.evidence.items.signing import DigestSigner
from ledger.evidence.items.typed_data import (
    ATTESTATION_BATCH,
    Domain,
    Schema,
    record_digests,
    schema_id,
    schema_of,
)
from ledger.model.refusals import refused
from ledger.model.units import SECONDS_PER_HOUR, ZERO_HASH, Address, EpochNumber, Hash32, Timestamp
from ledger.tree.standard import root_of_digests


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHeader:
    """AttestationBatch, member by member in the order it is hashed."""

    schema_id: Hash32
    epoch: EpochNumber
    window_start: Timestamp
    window_end: Timestamp
    record_count: int
    records_root: Hash32
    verifier: Address
    sequence: int
    previous_batch: Hash32
    issued_at: Timestamp
    expires_at: Timestamp

    @property
    def schema(self) -> Schema | None:
        """The schema of the records; None when this ledger knows none with this id."""
        return schema_of(self.schema_id)

    @property
    def window(self) -> Window:
        """The hours the records lie in."""
        return Window(start=self.window_start, end=self.window_end)

    def uid(self, domain: Domain) -> Hash32:
        """The EIP-712 digest (E3.1): what is signed, and the batch's name everywhere."""
        return domain.digest(ATTESTATION_BATCH.hash_of(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBatch:
    """A header with its signature and a way to its records. Nothing about it has been judged."""

    uid: Hash32
    header: BatchHeader
    signature: bytes
    source: Callable[[], pl.DataFrame] = field(repr=False, compare=False)

    def records(self) -> pl.DataFrame:
        """The records, loaded now; refuses with a `file.…` code when their file is bad."""
        return self.source()


def build_batch(
    domain: Domain,
    signer: DigestSigner,
    schema: Schema,
    records: pl.DataFrame,
    *,
    epoch: EpochNumber,
    window: Window,
    issued_at: Timestamp,
    expires_at: Timestamp,
    sequence: int = 0,
    previous_batch: Hash32 = ZERO_HASH,
) -> SignedBatch:
    """Sort the records by key, check them as acceptance will, compute their root and sign.

    `records` has the schema's columns (any order, no nulls), `window` is whole hours inside the epoch.
    Refuses with the code acceptance would use: `batch.empty`, `batch.count`, `batch.duplicate-key`,
    `batch.window`, `batch.early`, `record.malformed`, `uptime.mask` and the like.
    """
    header, ordered = prepare_batch(
        schema,
        records,
        verifier=signer.address,
        epoch=epoch,
        window=window,
        issued_at=issued_at,
        expires_at=expires_at,
        sequence=sequence,
        previous_batch=previous_batch,
    )
    uid = header.uid(domain)
    return SignedBatch(uid=uid, header=header, signature=signer.sign(uid), source=lambda: ordered)


def prepare_batch(
    schema: Schema,
    records: pl.DataFrame,
    *,
    verifier: Address,
    epoch: EpochNumber,
    window: Window,
    issued_at: Timestamp,
    expires_at: Timestamp,
    sequence: int = 0,
    previous_batch: Hash32 = ZERO_HASH,
) -> tuple[BatchHeader, pl.DataFrame]:
    """The unsigned header and the sorted records: what a hardware wallet is asked to sign."""
    known = [name for name in RECORD_COLUMNS[schema] if name in records.columns]
    check_columns(schema, records.select(known) if len(known) == records.width else records)
    ordered = sort_records(schema, records)
    check_records(schema, ordered, window)
    if issued_at < window.end:
        raise refused("batch.early", f"issued at {issued_at}, but its window ends at {window.end}")
    header = BatchHeader(
        schema_id=schema_id(schema),
        epoch=epoch,
        window_start=window.start,
        window_end=window.end,
        record_count=ordered.height,
        records_root=root_of_digests(record_digests(schema, ordered)),
        verifier=verifier,
        sequence=sequence,
        previous_batch=previous_batch,
        issued_at=issued_at,
        expires_at=expires_at,
    )
    return header, ordered


def check_records(schema: Schema, records: pl.DataFrame, window: Window) -> None:
    """Refuse records that acceptance would refuse for their number, order, form or own values."""
    if window.start >= window.end or window.start % SECONDS_PER_HOUR or window.end % SECONDS_PER_HOUR:
        raise refused("batch.window", f"{window.start} to {window.end} is not a window of whole hours")
    if not records.height:
        raise refused("batch.empty", f"no {schema.title} records")
    if records.height > MAX_RECORDS:
        raise refused("batch.count", f"{records.height} records, at most {MAX_RECORDS}")
    code = key_fault(schema, records)
    if code:
        raise refused(code, f"the keys of the {schema.title} records do not ascend strictly")
    fault = malformed_record(schema, records, window)
    faults = [fault] if fault else bound_faults(schema, records)
    if faults:
        raise refused(faults[0].code, f"{schema.title} record {faults[0].index}: {faults[0].detail}")


def check_columns(schema: Schema, frame: pl.DataFrame) -> None:
    """Refuse a frame whose columns, types or nulls are not the schema's."""
    expected = RECORD_COLUMNS[schema]
    if frame.columns != list(expected):
        raise refused("file.columns", f"{schema.title} records have {', '.join(expected)}; got {frame.columns}")
    for name, dtype in expected.items():
        if frame.schema[name] != dtype:
            raise refused("file.types", f"{name} is {dtype}, got {frame.schema[name]}")
    empty = [name for name in frame.columns if frame[name].null_count()]
    if empty:
        raise refused("file.nulls", f"empty fields in {', '.join(empty)}")
