"""What is signed, to the byte: EIP-712 types, schema ids, struct hashes and digests (E2, E3).

Values are the ledger's own (bytes, int, and text for zone, country and model). A value that does not fit
its type is refused with `file.value`, never cut to size: a cut value would be a different statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import sha3

from ledger.model.refusals import refused
from ledger.model.units import Address, Hash32
from ledger.tree.abi import EncodingError, address_word, fixed_bytes_word, uint_word
from ledger.tree.keccak import keccak256

if TYPE_CHECKING:  # who hashes no records need not load what packs them
    import numpy as np
    import numpy.typing as npt
    import polars as pl

_WORD: Final = 32
_TEXT_WIDTHS: Final = {"zone": 32, "country": 2}
"""Members signed as right-padded bytes but held as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of a signed struct: its EIP-712 type and name, and the ledger's name for it."""

    type: str
    name: str
    column: str

    @property
    def is_text(self) -> bool:
        """Whether the ledger holds the member as text: padded ASCII or an EIP-712 string."""
        return self.type == "string" or self.column in _TEXT_WIDTHS

    @property
    def is_integer(self) -> bool:
        """Whether the member is an unsigned integer."""
        return self.type.startswith("uint")

    @property
    def bits(self) -> int:
        """Width of an integer member."""
        return int(self.type.removeprefix("uint"))


@dataclass(frozen=True)
class TypedStruct:
    """One EIP-712 struct type."""

    name: str
    members: tuple[Member, ...]

    @cached_property
    def member_list(self) -> str:
        """`type name,type name…`: what a schema id is made of."""
        return ",".join(f"{member.type} {member.name}" for member in self.members)

    @cached_property
    def type_string(self) -> str:
        """EIP-712's encodeType."""
        return f"{self.name}({self.member_list})"

    @cached_property
    def typehash(self) -> Hash32:
        """The hash every struct hash starts with."""
        return keccak256(self.type_string.encode("ascii"))

    def struct_hash(self, values: Mapping[str, Any]) -> Hash32:
        """EIP-712's hashStruct of values by column name; refuses with `file.value` what fits no type."""
        try:
            words = [_word(member, values[member.column]) for member in self.members]
        except EncodingError as error:
            raise refused("file.value", f"{self.name}: {error.what}") from error
        return keccak256(self.typehash + b"".join(words))

    def hash_of(self, item: object) -> Hash32:
        """EIP-712's hashStruct of an object whose attributes are named like the columns."""
        return self.struct_hash({member.column: getattr(item, member.column) for member in self.members})


def _snake(name: str) -> str:
    special = {"activeGpuSec": "active_gpu_sec", "gpuMilliJoule": "gpu_millijoule"}
    return special.get(name) or "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


def _struct(type_string: str) -> TypedStruct:
    name, _, rest = type_string.removesuffix(")").partition("(")
    pairs = (part.split(" ") for part in rest.split(","))
    return TypedStruct(name, tuple(Member(type=kind, name=label, column=_snake(label)) for kind, label in pairs))


NODE_REGISTRATION: Final = _struct(
    "NodeRegistration(address operator,bytes32 serial,string model,bytes32[] gpuIds,bytes32 zone,bytes2 country,"
    "uint32 nameplateW,uint64 validFrom,uint64 validTo,uint64 sequence)"
)
ATTESTATION_BATCH: Final = _struct(
    "AttestationBatch(bytes32 schemaId,uint64 epoch,uint64 windowStart,uint64 windowEnd,uint32 recordCount,"
    "bytes32 recordsRoot,address verifier,uint64 sequence,bytes32 previousBatch,uint64 issuedAt,uint64 expiresAt)"
)
UPTIME_RECORD: Final = _struct(
    "UptimeRecord(bytes32 nodeId,uint64 windowStart,uint8 hours,bytes upMask,bytes seenMask,uint8 capacityCheck)"
)
ENERGY_RECORD: Final = _struct(
    "EnergyRecord(bytes32 nodeId,uint64 windowStart,uint8 hours,bytes32 zone,uint16 gpuCount,uint16 pueE4,"
    "uint8 meterClass,bytes activeGpuSec,bytes gpuMilliJoule,bytes itWh,bytes waterMl)"
)
RENEWABLE_CLAIM: Final = _struct(
    "RenewableClaim(bytes32 registryId,bytes32 issuanceId,uint64 rangeStart,uint64 rangeEnd,bytes32 deviceId,"
    "uint64 deviceCapacityW,uint8 source,uint8 tier,bytes32 zone,uint64 productionStart,uint64 productionEnd,"
    "bytes32 nodeId,uint64 consumptionHour,address beneficiary,uint64 cancelledAt,bytes32 cancellationRef)"
)
GRID_FACTOR: Final = _struct(
    "GridFactor(bytes32 zone,uint64 windowStart,uint8 hours,bytes locationEf,bytes residualEf,bytes flags)"
)
REVOCATION: Final = _struct("Revocation(bytes32 batchUid,uint32 record,uint8 reason,uint64 revokedAt)")
SET_PAYEE: Final = _struct("SetPayee(address account,address payee,uint256 nonce,uint256 deadline)")
_DOMAIN: Final = _struct("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")

DOMAIN_NAME: Final = "ATH Ledger"
DOMAIN_VERSION: Final = "1"


@dataclass(frozen=True)
class Domain:
    """For which chain and which RewardsLedger a signature is meant (E2.1)."""

    chain_id: int
    verifying_contract: Address

    @cached_property
    def separator(self) -> Hash32:
        """EIP-712's domainSeparator."""
        return _DOMAIN.struct_hash(
            {
                "name": DOMAIN_NAME,
                "version": DOMAIN_VERSION,
                "chain_id": self.chain_id,
                "verifying_contract": self.verifying_contract,
            }
        )

    def digest(self, struct_hash: Hash32) -> Hash32:
        """What is signed: EIP-712's digest of a struct hash (E2.4)."""
        return keccak256(b"\x19\x01" + self.separator + struct_hash)


class Schema(Enum):
    """The four kinds of records a batch can carry."""

    UPTIME = UPTIME_RECORD
    ENERGY = ENERGY_RECORD
    RENEWABLE = RENEWABLE_CLAIM
    GRID = GRID_FACTOR

    @property
    def struct(self) -> TypedStruct:
        """The record's EIP-712 type."""
        return self.value

    @property
    def title(self) -> str:
        """The schema's name in files, verdicts and on the command line."""
        return self.name.lower()


def schema_id(schema: Schema) -> Hash32:
    """keccak256(encodePacked(members, address(0), true)): the Ethereum Attestation Service's rule (E3.2)."""
    return _SCHEMA_IDS[schema]


def schema_of(identifier: bytes) -> Schema | None:
    """The schema with this id, or None when this ledger knows none."""
    return _SCHEMAS.get(bytes(identifier))


def schema_titled(title: str) -> Schema | None:
    """The schema with this name, or None."""
    return next((schema for schema in Schema if schema.title == title), None)


_SCHEMA_IDS: Final = {
    schema: keccak256(schema.struct.member_list.encode("ascii") + bytes(20) + b"\x01") for schema in Schema
}
_SCHEMAS: Final[dict[bytes, Schema]] = {identifier: schema for schema, identifier in _SCHEMA_IDS.items()}


def record_digests(schema: Schema, frame: "pl.DataFrame") -> list[Hash32]:
    """hashStruct of every record (E2.3), in the frame's order: what a batch's records root is built over (E3.3).

    The frame has the schema's columns without nulls. Refuses with `file.value` what fits no type. Static
    words are packed for all records at once: 65,536 uptime records take a fraction of a second.
    """
    import numpy as np

    members = schema.struct.members
    row_bytes = _WORD * (1 + len(members))
    words = np.zeros((frame.height, row_bytes), dtype=np.uint8)
    words[:, :_WORD] = np.frombuffer(schema.struct.typehash, dtype=np.uint8)
    for place, member in enumerate(members, start=1):
        _pack(member, frame[member.column], words[:, place * _WORD : (place + 1) * _WORD])
    packed = words.tobytes()
    keccak = sha3.keccak_256
    return [Hash32(keccak(packed[at : at + row_bytes]).digest()) for at in range(0, len(packed), row_bytes)]


def record_leaves(schema: Schema, frame: "pl.DataFrame") -> list[Hash32]:
    """The records' Merkle leaves: keccak256(keccak256(hashStruct)), in the frame's order."""
    keccak = sha3.keccak_256
    return [Hash32(keccak(keccak(digest).digest()).digest()) for digest in record_digests(schema, frame)]


def _pack(member: Member, series: "pl.Series", block: "npt.NDArray[np.uint8]") -> None:
    """Write one member of all records into its words."""
    if member.is_integer:
        numbers = series.to_numpy()
        if len(numbers) and (numbers.min() < 0 or (member.bits < 63 and numbers.max() >> member.bits)):
            raise refused("file.value", f"{member.name} holds a number that is not a {member.type}")
        block[:, 24:] = numbers.astype(">u8").view("u1").reshape(-1, 8)
        return
    if member.type == "bytes":
        keccak = sha3.keccak_256
        block[:] = _rows([keccak(value).digest() for value in series.to_list()], _WORD)
        return
    if member.is_text:
        texts = {text: _padded_text(member, text) for text in series.unique().to_list()}
        block[:] = _rows([texts[text] for text in series.to_list()], _WORD)
        return
    width = 20 if member.type == "address" else _WORD
    values = series.to_list()
    if any(len(value) != width for value in values):
        raise refused("file.value", f"{member.name} holds a value that is not {width} bytes long")
    block[:, _WORD - width :] = _rows(values, width)


def _rows(values: Sequence[bytes], width: int) -> "npt.NDArray[np.uint8]":
    import numpy as np

    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(-1, width)


def _padded_text(member: Member, text: str) -> bytes:
    width = _TEXT_WIDTHS[member.column]
    if not text.isascii() or not 0 < len(text) <= width or "\0" in text:
        raise refused("file.value", f"{member.name} {text[:40]!r} is not 1 to {width} ASCII characters")
    return text.encode("ascii").ljust(_WORD, b"\0")


def _word(member: Member, value: Any) -> bytes:
    """One member as its 32-byte word; dynamic members as the hash of their content."""
    if member.column in _TEXT_WIDTHS:
        return _padded_text(member, value)
    match member.type:
        case "string":
            try:
                return keccak256(value.encode("utf-8"))
            except UnicodeEncodeError as error:
                raise refused("file.value", f"{member.name} is not text") from error
        case "bytes":
            return keccak256(value)
        case "address":
            return address_word(value)
        case "bytes32":
            return fixed_bytes_word(value)
        case "bytes32[]":
            return keccak256(b"".join(fixed_bytes_word(item) for item in value))
        case _:
            return uint_word(value, member.bits)
