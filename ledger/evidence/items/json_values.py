"""Signed values as JSON and back: names as in the signed types, bytes as lower-case hex, integers exact.

Integers beyond 2⁵³ are written as decimal strings (encodings spec, canonical JSON); both forms are read.
Reading is strict: unknown, missing or repeated members and every other type are refused.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from ledger.evidence.items.typed_data import Domain, Member, TypedStruct
from ledger.model.refusals import refused
from ledger.model.units import Address, from_hex, to_hex
from ledger.tree.canonical import MAX_NESTING, is_nested_too_deeply

MAX_JSON_BYTES: Final = 64 * 2**20
"""Above this a batch belongs in Parquet."""
_FIXED_BYTES: Final = {"address": 20, "bytes32": 32}


def parse_json(content: bytes) -> Any:
    """The document; refuses what is no JSON, too large, nested without end, or repeats a member."""
    if len(content) > MAX_JSON_BYTES:
        raise refused("file.too-large", f"{len(content)} bytes of JSON, at most {MAX_JSON_BYTES}; send Parquet")
    if is_nested_too_deeply(content):
        raise refused("file.truncated", f"JSON nested more than {MAX_NESTING} deep")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise refused("file.truncated", f"not a JSON document: {str(error)[:200]}") from error


def to_json(struct: TypedStruct, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by column name as JSON members by signed name."""
    return {member.name: _member_to_json(member, values[member.column]) for member in struct.members}


def from_json(struct: TypedStruct, document: object) -> dict[str, Any]:
    """Values by column name; refuses with `file.value` what is not exactly the struct."""
    names = [member.name for member in struct.members]
    if not isinstance(document, dict) or set(document) != set(names):
        raise refused("file.value", f"{struct.name} has the members {', '.join(names)}")
    return {member.column: _member_from_json(member, document[member.name]) for member in struct.members}


def domain_to_json(domain: Domain) -> dict[str, Any]:
    """For which chain and contract an item is signed; written beside it so that a wrong one can be named."""
    return {"chainId": str(domain.chain_id), "verifyingContract": to_hex(domain.verifying_contract)}


def check_domain(document: object, domain: Domain) -> None:
    """Refuse what says it was signed for another chain or contract."""
    if document != domain_to_json(domain):
        raise refused("file.domain", f"signed for {document!r:.120}, this ledger is {domain_to_json(domain)}")


def bytes_from_json(value: object, length: int | None = None) -> bytes:
    """Bytes of lower- or upper-case 0x-hex; `file.value` otherwise."""
    if not isinstance(value, str) or not value.isascii() or " " in value:
        raise refused("file.value", f"expected 0x-prefixed hex, got {value!r:.70}")
    try:
        return from_hex(value, length)
    except ValueError as error:
        raise refused("file.value", str(error)) from error


def integer_from_json(value: object) -> int:
    """An integer, as a number or as a decimal string; `file.value` otherwise."""
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 78:
        return int(value)
    raise refused("file.value", f"expected an integer, got {value!r:.70}")


def _member_to_json(member: Member, value: Any) -> Any:
    if member.is_integer or member.is_text:
        return value
    if member.type.endswith("[]"):
        return [to_hex(item) for item in value]
    return to_hex(value)


def _member_from_json(member: Member, value: object) -> Any:
    if member.is_integer:
        return integer_from_json(value)
    if member.is_text:
        if not isinstance(value, str):
            raise refused("file.value", f"{member.name} is text, got {value!r:.70}")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise refused("file.value", f"{member.name} is no Unicode text: {value!r:.70}") from error
        return value
    if member.type.endswith("[]"):
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > 4096:
            raise refused("file.value", f"{member.name} is a list, got {value!r:.70}")
        return tuple(bytes_from_json(item, 32) for item in value)
    content = bytes_from_json(value, _FIXED_BYTES.get(member.type))
    return Address(content) if member.type == "address" else content


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
