"""Solidity's `abi.encode` for what this ledger hashes: static words, and strings in the tail.

Packed by hand because `eth_abi.encode` is three times slower on hundreds of thousands of leaves; the
tests hold the bytes equal to it. Refuses what does not fit its type: a truncated number would be a
different number, signed by everybody.
"""

import re
from collections.abc import Callable, Sequence

from ledger.model.errors import LedgerError

WORD_BYTES = 32


class EncodingError(LedgerError):
    """A value does not fit the type it has to be encoded as."""

    code = "encoding.invalid"
    exit_code = 4
    default_hint = "compare the value with docs/spec/encodings.md"


Scalar = int | bool | bytes
"""What a static ABI type holds here: numbers, booleans; addresses and bytesN as bytes."""


def uint_word(value: int, bits: int = 256) -> bytes:
    """An unsigned integer of the given width as one 32-byte word."""
    if type(value) is not int or value < 0 or value >> bits:
        raise EncodingError(f"{value!r} is not a uint{bits}")
    return value.to_bytes(WORD_BYTES, "big")


def int_word(value: int, bits: int = 256) -> bytes:
    """A signed integer of the given width as one word, two's complement."""
    if type(value) is not int or not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise EncodingError(f"{value!r} is not an int{bits}")
    return value.to_bytes(WORD_BYTES, "big", signed=True)


def address_word(value: bytes) -> bytes:
    """An address (20 bytes) as one word, zeros in front."""
    if not isinstance(value, bytes) or len(value) != 20:
        raise EncodingError(f"{value!r} is not an address of 20 bytes")
    return bytes(12) + value


def fixed_bytes_word(value: bytes, length: int = WORD_BYTES) -> bytes:
    """A bytesN of exactly N bytes as one word, zeros behind."""
    if not isinstance(value, bytes) or len(value) != length:
        raise EncodingError(f"{value!r} is not a bytes{length}")
    return value + bytes(WORD_BYTES - length)


def bool_word(value: bool) -> bytes:
    """A boolean as one word."""
    if type(value) is not bool:
        raise EncodingError(f"{value!r} is not a bool")
    return value.to_bytes(WORD_BYTES, "big")


def encode(*parts: bytes | str) -> bytes:
    """`abi.encode` of its arguments: finished words (bytes, whole words) and dynamic strings (str).

    A string leaves its offset in the head and stands, with its length and zero padding, in the tail.
    """
    head_length = sum(WORD_BYTES if isinstance(part, str) else len(part) for part in parts)
    head, tail = bytearray(), bytearray()
    for part in parts:
        if isinstance(part, str):
            text = part.encode("utf-8")
            head += uint_word(head_length + len(tail))
            tail += uint_word(len(text)) + text + bytes(-len(text) % WORD_BYTES)
        elif len(part) % WORD_BYTES:
            raise EncodingError(f"a static part has whole words, got {len(part)} bytes")
        else:
            head += part
    return bytes(head + tail)


_TYPE = re.compile(r"(uint|int|bytes)([1-9][0-9]{0,2})")


def word_encoder(type_name: str) -> Callable[[Scalar], bytes]:
    """The function that encodes one value of a static ABI type as one word.

    Knows address, bool, uintN, intN (N a multiple of 8 up to 256) and bytesN (1 to 32). Raises
    EncodingError for any other type.
    """
    if type_name == "address":
        return address_word  # type: ignore[return-value]  # a wrong kind of value is refused at run time
    if type_name == "bool":
        return bool_word  # type: ignore[return-value]  # likewise
    match = _TYPE.fullmatch(type_name)
    if match:
        kind, size = match[1], int(match[2])
        if kind == "bytes" and size <= WORD_BYTES:
            return lambda value: fixed_bytes_word(value, size)  # type: ignore[arg-type]
        if kind != "bytes" and size <= 256 and size % 8 == 0:
            numeric = uint_word if kind == "uint" else int_word
            return lambda value: numeric(value, size)  # type: ignore[arg-type]
    raise EncodingError(f"{type_name!r} is not a static ABI type of one word")


def decode_word(type_name: str, word: bytes) -> Scalar:
    """The value one word holds; EncodingError when the word is not a clean encoding of the type."""
    if len(word) != WORD_BYTES:
        raise EncodingError(f"a word has 32 bytes, got {len(word)}")
    value: Scalar
    if type_name == "address":
        value = word[12:]
    elif type_name == "bool":
        value = word[-1:] == b"\x01"
    elif type_name.startswith("bytes"):
        value = word[: int(type_name[5:])]
    else:
        value = int.from_bytes(word, "big", signed=type_name.startswith("int"))
    if word_encoder(type_name)(value) != word:
        raise EncodingError(f"0x{word.hex()} is not a clean {type_name}")
    return value


def encode_row(encoders: Sequence[Callable[[Scalar], bytes]], row: Sequence[Scalar]) -> bytes:
    """One row of static values, a word each."""
    if len(row) != len(encoders):
        raise EncodingError(f"a row of {len(row)} values for {len(encoders)} types")
    return b"".join(encoder(value) for encoder, value in zip(encoders, row, strict=True))
