"""Words, addresses and canonical JSON: the bytes are those of eth_abi, eth_utils and RFC 8785."""

from typing import Any

import eth_abi
import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from ledger.model.units import Address
from ledger.tree.abi import EncodingError, decode_word, encode, encode_row, fixed_bytes_word, uint_word, word_encoder
from ledger.tree.canonical import canonical_json, check_canonical, integer_of, parse_canonical
from ledger.tree.keccak import checksum_address, keccak256, parse_address

TYPES: dict[str, st.SearchStrategy[Any]] = {
    "address": st.binary(min_size=20, max_size=20),
    "bool": st.booleans(),
    "uint8": st.integers(0, 255),
    "uint96": st.integers(0, 2**96 - 1),
    "uint256": st.integers(0, 2**256 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "bytes2": st.binary(min_size=2, max_size=2),
    "bytes32": st.binary(min_size=32, max_size=32),
}
rows = st.lists(st.sampled_from(sorted(TYPES)), min_size=1, max_size=5).flatmap(
    lambda types: st.tuples(st.just(types), st.tuples(*(TYPES[name] for name in types)))
)


@given(rows)
def test_static_rows_are_encoded_as_eth_abi_does_and_decode_back(case: tuple[list[str], tuple[Any, ...]]) -> None:
    types, row = case
    encoded = encode_row([word_encoder(name) for name in types], row)
    expected = eth_abi.encode(types, ["0x" + v.hex() if t == "address" else v for t, v in zip(types, row, strict=True)])
    assert encoded == expected
    words = [encoded[at : at + 32] for at in range(0, len(encoded), 32)]
    assert tuple(decode_word(name, word) for name, word in zip(types, words, strict=True)) == row


@given(st.text(max_size=80), st.text(max_size=80))
def test_strings_stand_in_the_tail_as_eth_abi_places_them(first: str, second: str) -> None:
    assert encode(uint_word(7), first, fixed_bytes_word(b"x" * 32), second) == eth_abi.encode(
        ["uint256", "string", "bytes32", "string"], [7, first, b"x" * 32, second]
    )


WRONG = [
    ("uint8", 256),
    ("uint8", -1),
    ("uint8", True),
    ("uint256", "1"),
    ("int8", 128),
    ("int8", -129),
    ("bool", 1),
    ("address", bytes(21)),
    ("address", "0x" + "00" * 20),
    ("bytes32", bytes(31)),
    ("bytes2", bytes(3)),
]


@pytest.mark.parametrize(("type_name", "value"), WRONG)
def test_a_value_that_does_not_fit_its_type_is_refused(type_name: str, value: Any) -> None:
    with pytest.raises(EncodingError):
        word_encoder(type_name)(value)


@pytest.mark.parametrize("name", ["string", "bytes", "bytes33", "bytes0", "uint", "uint12", "uint264", "address[]"])
def test_types_that_are_not_one_static_word_are_refused(name: str) -> None:
    with pytest.raises(EncodingError):
        word_encoder(name)


@pytest.mark.parametrize("name", ["address", "bool", "uint8", "bytes2"])
def test_a_word_with_bits_outside_its_type_is_refused(name: str) -> None:
    with pytest.raises(EncodingError):
        decode_word(name, b"\x01" * 32)


def test_keccak_is_the_original_one() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@given(st.binary(min_size=20, max_size=20))
def test_checksummed_addresses_are_those_of_eip_55_and_read_back(raw: bytes) -> None:
    text = checksum_address(Address(raw))
    assert text == to_checksum_address(raw)
    assert parse_address(text) == parse_address(text.lower()) == parse_address("0x" + text[2:].upper()) == raw


def test_a_wrong_checksum_is_answered_with_the_expected_one() -> None:
    right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # from EIP-55 itself
    assert checksum_address(parse_address(right)) == right
    with pytest.raises(ValueError, match=right):
        parse_address(right.replace("aA", "Aa"))


@pytest.mark.parametrize("text", ["", "0x", "0x" + "0" * 39, "5a" * 21, "0x" + "g" * 40, "0x" + "٣" * 40])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="40 hex digits"):
        parse_address(text)


def test_canonical_json_is_that_of_rfc_8785() -> None:
    # the sorting example of RFC 8785, section 3.2.3, and its string escapes of section 3.2.2
    keys = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(parse_canonical(canonical_json(keys))) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]
    assert canonical_json('\u20ac$\u000f\nA\'B"\\\\"/') == '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()
    assert canonical_json({"b": [None, True, False, -0, 10], "a": {}}) == b'{"a":{},"b":[null,true,false,0,10]}'


def test_integers_beyond_two_to_the_53_are_decimal_strings() -> None:
    edge = 2**53
    assert canonical_json([edge, edge + 1, -edge, -edge - 1]) == (
        b'[9007199254740992,"9007199254740993",-9007199254740992,"-9007199254740993"]'
    )
    assert [integer_of(item) for item in parse_canonical(canonical_json([edge + 1, -edge - 1, 5]))] == [
        edge + 1,
        -edge - 1,
        5,
    ]


@pytest.mark.parametrize("value", ["7", "007", "9007199254740992", "1e99", "+9007199254740993", "٣" * 20, True, None])
def test_an_integer_has_one_form_only(value: object) -> None:
    with pytest.raises(EncodingError):
        integer_of(value)


@pytest.mark.parametrize("value", [1.0, b"x", {1: 2}, {"a": {b"x": 1}}, "\ud800", {1, 2}, object()])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(EncodingError):
        canonical_json(value)


BROKEN = [
    b'{"b":1,"a":2}',
    b'{"a":1,"a":1}',
    b"[1, 2]",
    b"[1.0]",
    b"[NaN]",
    b"[9007199254740993]",
    b'"\\u0041"',
    b"\xff",
]


@pytest.mark.parametrize("document", [*BROKEN, b"", b"{", b"[1e3]", b"-0"])
def test_a_document_that_is_not_canonical_is_refused(document: bytes) -> None:
    with pytest.raises(EncodingError):
        parse_canonical(document)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_canonical_documents_read_back_as_what_was_written(value: Any) -> None:
    assert parse_canonical(canonical_json(value)) == value


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=8)
    | st.sampled_from(['x":1,', '\\"a":0}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
noise = st.sampled_from([b" ", b"0", b"1", b'"', b":", b",", b"-", b"\\", b"e1", b".5", b'"a":1', b"{", b"}"])


@given(value=plain, pieces=st.lists(st.tuples(st.integers(0, 200), noise, st.booleans()), max_size=3))
def test_a_document_is_called_canonical_exactly_when_it_parses_as_one(
    value: Any, pieces: list[tuple[int, bytes, bool]]
) -> None:
    """Asked twice: the second time its shape may be known."""
    document = canonical_json(value)
    for place, piece, replaces in pieces:
        at = place % (len(document) + 1)
        document = document[:at] + piece + document[at + (len(piece) if replaces else 0) :]

    def is_refused(read: Any) -> bool:
        try:
            read(document)
        except EncodingError:
            return True
        return False

    assert is_refused(check_canonical) is is_refused(check_canonical) is is_refused(parse_canonical)


def test_one_member_more_or_elsewhere_is_another_shape() -> None:
    check_canonical(b'{"a":1,"b":"x"}')
    check_canonical(b'{"a":"y","b":0}')
    for wrong in (
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":01,"b":1}',
        b'{"a":-0,"b":1}',
        b'{"a":1,"b":1,}',
        b'{"a":1.0,"b":1}',
    ):
        with pytest.raises(EncodingError):
            check_canonical(wrong)
