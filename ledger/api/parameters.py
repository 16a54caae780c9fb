"""What stands in a URL: epochs, addresses, ids and moments, each checked before anything is looked up."""

from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ledger.api.problems import RangeReversedError
from ledger.model.units import Address, EpochNumber, Hash32, NodeId, from_hex
from ledger.tree.keccak import parse_address

MOST: Final = 2**31 - 1
"""The largest number a URL may name: no ledger has so many epochs or entries, and every database holds it."""
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
_EXAMPLE_ADDRESS: Final = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def _digits(value: object) -> object:
    """Nothing but digits: `1.0`, `+1`, `1_0` and blanks are no way to write a number here."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise PydanticCustomError("int_parsing", "Input should be a whole number in decimal digits")
    return value


def _address(text: object) -> Address:
    try:
        return parse_address(str(text))
    except ValueError as error:
        what = str(error)
        code = "address.checksum" if what.startswith("checksum") else "address.invalid"
        raise PydanticCustomError(code, "{what}", {"what": what}) from error


def _hash(text: object) -> Hash32:
    try:
        return Hash32(from_hex(str(text).lower(), 32))
    except ValueError as error:
        raise PydanticCustomError("value_error", "{what}", {"what": str(error)}) from error


_ADDRESS_SCHEMA: Final = {
    "type": "string",
    "format": "eip-55-address",
    "pattern": "^0x[0-9a-fA-F]{40}$",
    "description": "in one case, or in mixed case with its EIP-55 checksum, which is checked",
    "examples": [_EXAMPLE_ADDRESS],
}
_HASH_SCHEMA: Final = {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$", "examples": ["0x" + "ab" * 32]}

AddressText = Annotated[Address, PlainValidator(_address), WithJsonSchema(_ADDRESS_SCHEMA)]
HashText = Annotated[Hash32, PlainValidator(_hash), WithJsonSchema(_HASH_SCHEMA)]
NodeText = Annotated[NodeId, PlainValidator(_hash), WithJsonSchema(_HASH_SCHEMA)]


def _whole(first: int, last: int) -> tuple[object, ...]:
    """A number of a URL between two others, and how the documentation says so."""
    schema = {"type": "integer", "minimum": first, "maximum": last}
    return (Field(ge=first, le=last), BeforeValidator(_digits), WithJsonSchema(schema))


Natural = Annotated[int, *_whole(0, MOST)]
Positive = Annotated[int, *_whole(1, MOST)]
PageLimit = Annotated[int, *_whole(1, MAX_LIMIT)]
EpochWhole = Annotated[EpochNumber, *_whole(0, MOST)]

EpochPath = Annotated[EpochWhole, Path(description="the epoch's number", examples=[0])]
OperatorPath = Annotated[AddressText, Path(description="the operator's address")]
VerifierPath = Annotated[AddressText, Path(description="the verifier's address")]
NodePath = Annotated[NodeText, Path(description="the node's id")]
UidPath = Annotated[HashText, Path(description="the item's uid: its EIP-712 digest")]

EpochFilter = Annotated[EpochWhole | None, Query(description="only of this epoch")]
OperatorFilter = Annotated[AddressText | None, Query(description="only this operator's")]
VerifierFilter = Annotated[AddressText | None, Query(description="only this verifier's")]
WordFilter = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$")]


def require_order(first: int | None, last: int | None, names: str) -> None:
    """Refuse a range whose end lies before its beginning. RangeReversedError."""
    if first is not None and last is not None and last < first:
        raise RangeReversedError(f"{names}: {last} lies before {first}")
