"""Values of a bundle as canonical JSON and back: members in camel case, bytes as hex, integers exact, nothing lost.

What is read is hostile: every member has exactly the fields of its type, and each field its type.
"""

import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Final, TypeVar, get_type_hints

from ledger.audit.bundle.error import MemberInvalidError
from ledger.model.units import Address, Hash32, NodeId, from_hex, to_hex
from ledger.tree.abi import EncodingError
from ledger.tree.canonical import canonical_json, integer_of, parse_canonical

Record = TypeVar("Record")

_WIDTHS: Final[Mapping[object, int]] = types.MappingProxyType({Address: 20, Hash32: 32, NodeId: 32})
MAX_LINE_BYTES: Final = 64 * 2**20
"""A line is one record, registration or journal entry; the largest honest one is a seal of many operators."""
_LOOK_BYTES: Final = 2**16


def document_of(record: Any) -> dict[str, Any]:
    """A flat dataclass as a JSON object."""
    return {
        json_name: to_hex(value) if isinstance(value := getattr(record, name), bytes) else value
        for name, json_name, _ in _fields_of(type(record))  # type: ignore[arg-type]  # mypy: a class is hashable
    }


def record_of(kind: type[Record], document: object, where: str) -> Record:
    """The flat dataclass of a JSON object; MemberInvalidError names what does not fit."""
    expected = _fields_of(kind)  # type: ignore[arg-type]  # likewise
    names = {json_name for _, json_name, _ in expected}
    if not isinstance(document, dict) or set(document) != names:
        raise MemberInvalidError(f"{where} does not have exactly the members {', '.join(sorted(names))}")
    return kind(**{name: value_of(hint, document[at], f"{where} · {at}") for name, at, hint in expected})


def value_of(hint: object, value: object, where: str) -> Any:
    """One value of its type: `int`, `str`, or bytes by the unit they stand for."""
    if hint in _WIDTHS:
        return bytes_of(value, _WIDTHS[hint], where)
    plain = getattr(hint, "__supertype__", hint)
    if plain is int:
        return integer(value, where)
    if plain is bool and isinstance(value, bool):
        return value
    if plain is str and isinstance(value, str):
        return value
    raise MemberInvalidError(f"{where}: {value!r:.80} is no {getattr(plain, '__name__', plain)}")


def bytes_of(value: object, width: int, where: str) -> bytes:
    """Bytes of lower-case 0x-hex."""
    try:
        if isinstance(value, str) and value == value.lower() and value.isascii():
            return from_hex(value, width)
    except ValueError as error:
        raise MemberInvalidError(f"{where}: {error}") from error
    raise MemberInvalidError(f"{where}: {value!r:.80} is no lower-case hex of {width} bytes")


def integer(value: object, where: str) -> int:
    """An integer, as a number up to 2⁵³ and as a decimal string beyond."""
    try:
        return integer_of(value)
    except ValueError as error:  # more digits than Python is willing to read
        raise MemberInvalidError(f"{where}: {error}") from error
    except EncodingError as error:
        raise MemberInvalidError(f"{where}: {error.what}") from error


def parsed(content: bytes | memoryview, where: str) -> Any:
    """The value of a canonical document; MemberInvalidError otherwise."""
    if len(content) > MAX_LINE_BYTES:
        raise MemberInvalidError(f"{where}: a document of {len(content)} bytes, at most {MAX_LINE_BYTES}")
    try:
        return parse_canonical(bytes(content))
    except EncodingError as error:
        raise MemberInvalidError(f"{where}: {error.what}") from error
    except ValueError as error:
        raise MemberInvalidError(f"{where}: {str(error)[:200]}") from error


def lines_of(documents: Iterable[object]) -> bytes:
    """One canonical document a line, each line ended."""
    return b"".join(canonical_json(document) + b"\n" for document in documents)


def line_contents(content: memoryview, where: str) -> Iterator[bytes]:
    """The lines of a member, without their ends; every line must be ended. Only one line is in memory at a time."""
    at = 0
    while at < len(content):
        end = _line_end(content, at)
        if end < 0:
            raise MemberInvalidError(f"{where}: no line feed within {MAX_LINE_BYTES} bytes of byte {at}")
        yield bytes(content[at:end])
        at = end + 1


def _line_end(content: memoryview, at: int) -> int:
    """Where the line that begins at a byte ends; -1 when it never does, or is longer than a line may be."""
    last = min(len(content), at + MAX_LINE_BYTES)
    while at < last:
        found = bytes(content[at : min(last, at + _LOOK_BYTES)]).find(b"\n")
        if found >= 0:
            return at + found
        at += _LOOK_BYTES
    return -1


def parsed_lines(content: memoryview, where: str) -> Iterator[Any]:
    """The value of each line."""
    for number, line in enumerate(line_contents(content, where), start=1):
        yield parsed(line, f"{where} line {number}")


@cache
def _fields_of(kind: Any) -> tuple[tuple[str, str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, _camel(field.name), hints[field.name]) for field in fields(kind))


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
