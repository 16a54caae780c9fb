"""Files of evidence on the command line: read within bounds, shown in words."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.model.units import to_hex

if TYPE_CHECKING:
    from ledger.evidence.items.batch import SignedBatch
    from ledger.steps.ledger import Ledger


def evidence_files(given: Sequence[Path]) -> Iterator[Path]:
    """The files named, and those in the folders named, by name."""
    for path in given:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix in (".parquet", ".json"))
        else:
            yield path


def read_bytes(file: Path) -> bytes:
    """A file's bytes; of one that is too large only as much as shows that it is."""
    from ledger.evidence.storage.parquet_guard import MAX_FILE_BYTES

    with file.open("rb") as content:
        return content.read(MAX_FILE_BYTES + 1)


def batch_in(ledger: "Ledger", file: Path) -> "SignedBatch":
    """The batch in a file, signed or not; refuses with `file.…` what is none."""
    from ledger.evidence.storage.batch_files import read_batch

    return read_batch(read_bytes(file), ledger.domain)


def header_fact(batch: "SignedBatch") -> dict[str, Any]:
    """A batch's header as it is shown to a person."""
    from ledger.steps.transitions.transition import utc
    from ledger.tree.keccak import checksum_address

    header = batch.header
    return {
        "uid": to_hex(batch.uid),
        "schema": header.schema.title if header.schema else to_hex(header.schema_id),
        "epoch": header.epoch,
        "window": f"{utc(header.window_start)} to {utc(header.window_end)}",
        "records": header.record_count,
        "records_root": to_hex(header.records_root),
        "verifier": checksum_address(header.verifier),
        "sequence": header.sequence,
        "previous_batch": to_hex(header.previous_batch),
        "issued": utc(header.issued_at),
        "expires": utc(header.expires_at),
        "signature": to_hex(batch.signature) if batch.signature else None,
    }
