"""Batches as files: Parquet, or JSON for small senders; registrations and revocations see `item_files`.

A batch's header and signature travel in the Parquet file's own metadata, so a batch is one file that any
Parquet reader opens. What a sender gives is hostile until read: sizes and counts are checked on the
footer before a column is unpacked, and every way in which a file can be bad has a refusal code.
"""

import io
from collections.abc import Callable
from typing import Any, Final, TypeVar

import polars as pl

from ledger.evidence.items.batch import BatchHeader, SignedBatch, check_columns
from ledger.evidence.items.json_values import (
    bytes_from_json,
    check_domain,
    domain_to_json,
    from_json,
    parse_json,
    to_json,
)
from ledger.evidence.items.records import MAX_RECORDS, RECORD_COLUMNS
from ledger.evidence.items.typed_data import ATTESTATION_BATCH, Domain, Schema
from ledger.evidence.storage.parquet_guard import MAX_FILE_BYTES, MAX_UNPACKED_BYTES, check_parquet
from ledger.model.refusals import refused
from ledger.model.units import to_hex
from ledger.tree.canonical import canonical_json

Result = TypeVar("Result")

BATCH_FORMAT: Final = "ath-ledger/batch/1"
_PARQUET_MAGIC: Final = b"PAR1"
_HEADER_KEY: Final = "ath-ledger"
"""Parquet metadata key; its value is the JSON batch without its records."""


def write_batch(batch: SignedBatch, domain: Domain) -> bytes:
    """The batch as Parquet; the same batch gives the same bytes with the same Polars."""
    head = canonical_json(_batch_head(batch, domain)).decode("utf-8")
    buffer = io.BytesIO()
    batch.records().write_parquet(buffer, compression="zstd", statistics=False, metadata={_HEADER_KEY: head})
    return buffer.getvalue()


def write_batch_json(batch: SignedBatch, domain: Domain) -> bytes:
    """The batch as one JSON document, for a few records."""
    schema = _schema_of(batch.header)
    records = [to_json(schema.struct, row) for row in batch.records().iter_rows(named=True)]
    return canonical_json({**_batch_head(batch, domain), "records": records})


def read_batch(content: bytes, domain: Domain) -> SignedBatch:
    """A batch of either form. Its header is read now, its records when asked for.

    Refuses with `file.…`; a file whose records turn out bad is refused by `records()`.
    """
    if len(content) > MAX_FILE_BYTES:
        raise refused("file.too-large", f"{len(content)} bytes, a batch file has at most {MAX_FILE_BYTES}")
    if content[:4] == _PARQUET_MAGIC:
        return _read_parquet(content, domain)
    if content[:1] == b"{":
        return _read_json(content, domain)
    raise refused("file.not-a-batch", f"the file begins with {content[:8]!r}")


def _batch_head(batch: SignedBatch, domain: Domain) -> dict[str, Any]:
    header = {member.column: getattr(batch.header, member.column) for member in ATTESTATION_BATCH.members}
    return {
        "format": BATCH_FORMAT,
        "domain": domain_to_json(domain),
        "header": to_json(ATTESTATION_BATCH, header),
        "signature": to_hex(batch.signature),
    }


def _read_head(document: object, domain: Domain) -> tuple[BatchHeader, bytes]:
    if not isinstance(document, dict) or document.get("format") != BATCH_FORMAT:
        raise refused("file.header", f"the format marker is not {BATCH_FORMAT!r}")
    if set(document) - {"records"} != {"format", "domain", "header", "signature"}:
        raise refused("file.header", "a batch has format, domain, header and signature")
    check_domain(document["domain"], domain)
    header = BatchHeader(**from_json(ATTESTATION_BATCH, document["header"]))
    if header.epoch >> 63 or header.sequence >> 63:
        raise refused("file.value", "epoch and sequence are 0 to 2⁶³ - 1")  # what a database can hold
    return header, bytes_from_json(document["signature"])


def _schema_of(header: BatchHeader) -> Schema:
    schema = header.schema
    if schema is None:
        raise refused("batch.schema", f"no schema has the id {to_hex(header.schema_id)}")
    return schema


def _read_parquet(content: bytes, domain: Domain) -> SignedBatch:
    rows = check_parquet(content)
    if rows > MAX_RECORDS:
        raise refused("file.too-many-records", f"{rows} records, at most {MAX_RECORDS}")
    text = _unpack(lambda: pl.read_parquet_metadata(io.BytesIO(content))).get(_HEADER_KEY)
    if text is None:
        raise refused("file.header", f"the Parquet metadata has no {_HEADER_KEY!r}")
    header, signature = _read_head(parse_json(text.encode("utf-8", "surrogatepass")), domain)

    def load() -> pl.DataFrame:
        schema = _schema_of(header)
        columns = pl.read_parquet_schema(io.BytesIO(content))
        check_columns(schema, pl.DataFrame(schema=columns))
        frame = pl.read_parquet(io.BytesIO(content))
        check_columns(schema, frame)
        _check_size(frame)
        return frame

    return SignedBatch(uid=header.uid(domain), header=header, signature=signature, source=lambda: _unpack(load))


def _check_size(frame: pl.DataFrame) -> None:
    """A dictionary page lets one long value stand in every record; hashing that would take for ever."""
    binary = [pl.col(name).bin.size() for name, dtype in frame.schema.items() if dtype == pl.Binary]
    text = [pl.col(name).str.len_bytes() for name, dtype in frame.schema.items() if dtype == pl.String]
    sizes = [length.cast(pl.Int64).sum() for length in (*binary, *text)]
    if sum(frame.select(sizes).row(0)) > MAX_UNPACKED_BYTES:
        raise refused("file.too-large", f"the records hold more than {MAX_UNPACKED_BYTES} bytes")


def _unpack(read: Callable[[], Result]) -> Result:
    """Run Polars on bytes that may be damaged; its panics are no `Exception`, and must not end the process."""
    try:
        return read()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError) as error:
        raise refused("file.truncated", f"Parquet cannot be read: {str(error)[:200]}") from error


def _read_json(content: bytes, domain: Domain) -> SignedBatch:
    document = parse_json(content)
    header, signature = _read_head(document, domain)
    rows = document.get("records")
    if not isinstance(rows, list):
        raise refused("file.header", "a JSON batch has a list of records")
    if len(rows) > MAX_RECORDS:
        raise refused("file.too-many-records", f"{len(rows)} records, at most {MAX_RECORDS}")

    def load() -> pl.DataFrame:
        schema = _schema_of(header)
        values = [from_json(schema.struct, row) for row in rows]
        columns = RECORD_COLUMNS[schema]
        if any(type(value) is int and value >> 63 for row in values for value in row.values()):
            raise refused("file.value", "a number is negative, or 2⁶³ or more")
        return pl.DataFrame(values, schema=columns, orient="row")

    return SignedBatch(uid=header.uid(domain), header=header, signature=signature, source=load)
