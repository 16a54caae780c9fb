"""Canonical JSON: one value, one text, so that a hash of it means something.

Rule E4.2: RFC 8785 with this ledger's narrowing: no floats at all, no bytes, and integers beyond 2⁵³ as decimal
strings, because JavaScript readers would round them.
"""

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, NoReturn

from ledger.tree.abi import EncodingError

MAX_BARE_INTEGER = 2**53
"""The largest absolute value written as a JSON number."""
MAX_NESTING = 64
"""Ten times what any document of the ledger needs."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
"""A text, also one that does not end: it must match at every quote, or bad input takes quadratic time."""
_MAX_DIGITS = 100
"""More than 2²⁵⁶ has; Python refuses to read thousands."""
_PLAIN = json.JSONEncoder(ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":"))
"""Python's own encoder: canonical wherever keys are ASCII and no integer is beyond 2⁵³."""
_PLAIN_MEMBER = re.compile(rb'("[A-Za-z0-9]++"):(?:0|-?[1-9][0-9]{0,14}+|"[ !#-\[\]-~]*+")(?=[,}])')
"""A member of an object whose value can be written in one way only. A quote in a text is escaped, so that it never
begins where a name does."""
_KNOWN_SHAPES: set[bytes] = set()
"""Documents found canonical, with 0 for each plain value."""
_MAX_SHAPES = 4096
_SHAPE_BYTES = 4096
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def canonical_json(value: object) -> bytes:
    """The RFC 8785 bytes of None, bool, int, str, sequences and mappings of them.

    Integers beyond 2⁵³ become decimal strings. Keys are sorted by their UTF-16 code units. Raises
    EncodingError for floats, bytes, keys that are not strings, and lone surrogates.
    """
    pieces: list[str] = []
    _write(value, pieces)
    try:
        return "".join(pieces).encode("utf-8")
    except UnicodeEncodeError as error:
        raise EncodingError(
            f"text with a lone surrogate has no UTF-8: {error.object[error.start : error.end]!r}"
        ) from error


def parse_canonical(document: bytes) -> Any:
    """The value of a canonical document; big integers stay the decimal strings they are written as.

    Raises EncodingError when the bytes are not exactly the canonical form of what they say: spaces,
    unsorted or repeated keys, floats, bare integers beyond 2⁵³. Refuses deep nesting, too.
    """
    if is_nested_too_deeply(document):
        raise EncodingError(f"the JSON document is nested more than {MAX_NESTING} deep")
    try:
        value = _READER.decode(document.decode("utf-8"))
    except ValueError as error:  # no UTF-8, no JSON, or a number of more digits than Python reads
        raise EncodingError(f"not a JSON document: {error}") from error
    if not _is_plainly_canonical(value, document) and canonical_json(value) != document:
        raise EncodingError("the JSON document is not in canonical form (RFC 8785)")
    return value


def check_canonical(document: bytes) -> None:
    """Raise EncodingError like `parse_canonical` unless the document is canonical; what it says is not wanted.

    Canonical is a matter of shape: names and their order, and how each value is written. Plain values (short whole
    numbers, ASCII texts without escapes) are written canonically, so one of each shape is parsed, and a journal of a
    million entries has few.
    """
    shape = _PLAIN_MEMBER.sub(rb"\1:0", document)
    if shape in _KNOWN_SHAPES:
        return
    parse_canonical(document)
    if len(shape) <= _SHAPE_BYTES and len(_KNOWN_SHAPES) < _MAX_SHAPES:
        _KNOWN_SHAPES.add(shape)


def _is_plainly_canonical(value: object, document: bytes) -> bool:
    """Whether the document of this value is canonical beyond doubt, asked of Python's fast encoder; False says nothing.

    Verifying a journal asks it a million times. In an ASCII document all keys are ASCII, or not written canonically,
    so that sorting them by code points is sorting them by UTF-16 units.
    """
    if not document.isascii():
        return False
    return _PLAIN.encode(value).encode("utf-8", "surrogatepass") == document


def is_nested_too_deeply(document: bytes) -> bool:
    """Whether lists and objects are nested more than `MAX_NESTING` deep, found without parsing.

    Asked before a stranger's document is parsed: Python's parser calls itself for each level and is stopped only by
    the recursion limit, which a library may have raised so far that the process dies instead.
    """
    if document.count(b"[") + document.count(b"{") <= MAX_NESTING:
        return False
    brackets = _STRING.sub(b"", document).translate(_SQUARE, _NO_BRACKETS)
    for _ in range(MAX_NESTING):
        brackets = brackets.replace(b"[]", b"")  # the innermost level goes
    return len(brackets) > MAX_NESTING or b"[]" in brackets


def integer_of(value: object) -> int:
    """The integer a canonical document means: a number up to 2⁵³, a decimal string beyond."""
    if type(value) is int:
        return value
    if isinstance(value, str) and value.lstrip("-").isdecimal() and value.isascii():
        number = int(value) if len(value) <= _MAX_DIGITS else 0
        if str(number) == value and abs(number) > MAX_BARE_INTEGER:
            return number
    raise EncodingError(f"{value!r} is not an integer in canonical form")


def _write(value: object, pieces: list[str]) -> None:
    match value:
        case None:
            pieces.append("null")
        case bool():
            pieces.append("true" if value else "false")
        case int():
            text = int.__repr__(value)
            pieces.append(text if abs(value) <= MAX_BARE_INTEGER else f'"{text}"')
        case str():
            pieces.append(encode_basestring(value))
        case Mapping():
            _write_mapping(value, pieces)
        case list() | tuple():
            pieces.append("[")
            for position, item in enumerate(value):
                if position:
                    pieces.append(",")
                _write(item, pieces)
            pieces.append("]")
        case _:
            raise EncodingError(f"canonical JSON has no place for {type(value).__name__}: {value!r:.80}")


def _write_mapping(value: Mapping[Any, object], pieces: list[str]) -> None:
    for key in value:
        if not isinstance(key, str):
            raise EncodingError(f"a JSON key is a string, got {key!r}")
    pieces.append("{")
    for position, key in enumerate(sorted(value, key=_utf16_units)):
        if position:
            pieces.append(",")
        pieces.append(encode_basestring(key))
        pieces.append(":")
        _write(value[key], pieces)
    pieces.append("}")


def _utf16_units(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _bounded_integer(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_BARE_INTEGER:
        raise EncodingError(f"canonical JSON of this ledger writes {text:.80} as a string")
    return value


def _refuse_float(text: str) -> NoReturn:
    raise EncodingError(f"canonical JSON of this ledger has no floats, got {text}")


_READER = json.JSONDecoder(parse_float=_refuse_float, parse_int=_bounded_integer, parse_constant=_refuse_float)
