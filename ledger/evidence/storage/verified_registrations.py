"""Registrations whose files, digests and signatures were looked at already, as one file of columns.

Reading a registration and verifying who signed it costs an eighth of a millisecond, every epoch anew: most of a minute
for 435,000. What comes of it never changes, so it is kept. It is a convenience and no evidence: whoever audits reads
the signed files.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import polars as pl

from ledger.evidence.items.registration import NodeRegistration, SignedRegistration
from ledger.evidence.items.signing import check_signer
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.storage.item_files import read_registration
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import Address, Hash32, Timestamp

FORMAT = b"verified registrations 1"
"""Part of what a file is known by: other columns, or another way to verify, make other files."""
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "uid": pl.Binary,
    "signature": pl.Binary,
    "is_signed": pl.Boolean,
    "operator": pl.Binary,
    "serial": pl.Binary,
    "model": pl.String,
    "gpu_ids": pl.List(pl.Binary),
    "zone": pl.String,
    "country": pl.String,
    "nameplate_w": pl.UInt64,
    "valid_from": pl.UInt64,
    "valid_to": pl.UInt64,
    "sequence": pl.UInt64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRegistrations:
    """Registrations, and which of them their operators signed."""

    items: tuple[SignedRegistration, ...]
    signed: frozenset[Hash32]
    """Uids whose digest and operator's signature were verified. The others are judged when they are accepted."""

    @classmethod
    def of_files(cls, contents: Iterable[bytes], domain: Domain) -> Self:
        """Read and verify registrations out of their files; refuses with `file.…` what is none."""
        items = tuple(read_registration(content, domain) for content in contents)
        return cls(items=items, signed=frozenset(item.uid for item in items if _is_signed(item)))

    @classmethod
    def joined(cls, parts: Sequence["VerifiedRegistrations"]) -> Self:
        """All of several."""
        return cls(
            items=tuple(item for part in parts for item in part.items),
            signed=frozenset().union(*(part.signed for part in parts)),
        )

    @classmethod
    def from_parquet(cls, content: bytes) -> Self:
        """What `to_parquet` wrote."""
        rows = pl.read_parquet(io.BytesIO(content)).iter_rows()
        items, signed = [], []
        for uid, signature, is_signed, operator, serial, model, gpu_ids, zone, country, *numbers in rows:
            nameplate_w, valid_from, valid_to, sequence = numbers
            registration = NodeRegistration(
                operator=Address(operator),
                serial=Hash32(serial),
                model=model,
                gpu_ids=tuple(map(Hash32, gpu_ids)),
                zone=zone,
                country=country,
                nameplate_w=nameplate_w,
                valid_from=Timestamp(valid_from),
                valid_to=Timestamp(valid_to),
                sequence=sequence,
            )
            items.append(SignedRegistration(uid=Hash32(uid), registration=registration, signature=signature))
            signed += [Hash32(uid)] if is_signed else []
        return cls(items=tuple(items), signed=frozenset(signed))

    def to_parquet(self) -> bytes:
        """The whole as one file."""
        rows = [(item.uid, item.signature, item.uid in self.signed, *_fields(item.registration)) for item in self.items]
        buffer = io.BytesIO()
        frame = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
        frame.write_parquet(buffer, compression="zstd", compression_level=3, statistics=False)
        return buffer.getvalue()


def _is_signed(item: SignedRegistration) -> bool:
    try:
        check_signer(item.uid, item.signature, item.registration.operator)
    except ItemRefusedError:
        return False
    return True


def _fields(registration: NodeRegistration) -> tuple[object, ...]:
    """The fields in the order of the columns."""
    return (
        registration.operator, registration.serial, registration.model, list(registration.gpu_ids), registration.zone,
        registration.country, registration.nameplate_w, registration.valid_from, registration.valid_to,
        registration.sequence,
    )  # fmt: skip
