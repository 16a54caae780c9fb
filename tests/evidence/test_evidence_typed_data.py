"""The signed bytes agree with eth_account's own EIP-712 encoder, type by type, on random values."""

from typing import Any

import polars as pl
import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.evidence.items.batch import BatchHeader
from ledger.evidence.items.records import RECORD_COLUMNS
from ledger.evidence.items.registration import NodeRegistration
from ledger.evidence.items.typed_data import (
    ATTESTATION_BATCH,
    ENERGY_RECORD,
    GRID_FACTOR,
    NODE_REGISTRATION,
    RENEWABLE_CLAIM,
    REVOCATION,
    SET_PAYEE,
    UPTIME_RECORD,
    Domain,
    Member,
    Schema,
    TypedStruct,
    record_digests,
    record_leaves,
    schema_id,
    schema_of,
)
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import Address
from ledger.tree.keccak import keccak256

DOMAIN = Domain(31337, Address(bytes(range(20))))
STRUCTS = [
    NODE_REGISTRATION,
    ATTESTATION_BATCH,
    UPTIME_RECORD,
    ENERGY_RECORD,
    RENEWABLE_CLAIM,
    GRID_FACTOR,
    REVOCATION,
    SET_PAYEE,
]
_TEXT = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


def values_of(member: Member, *, signed_64: bool = False) -> st.SearchStrategy[Any]:
    """Any value the ledger may hold for a member."""
    if member.column == "zone":
        return st.text(alphabet="ABCXYZ-09", min_size=1, max_size=32)
    if member.column == "country":
        return st.text(alphabet="ABCXYZ", min_size=2, max_size=2)
    if member.is_integer:
        return st.integers(0, 2 ** (63 if signed_64 and member.bits == 64 else member.bits) - 1)
    match member.type:
        case "string":
            return _TEXT
        case "bytes":
            return st.binary(max_size=100)
        case "address":
            return st.binary(min_size=20, max_size=20)
        case "bytes32[]":
            return st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple)
        case _:
            return st.binary(min_size=32, max_size=32)


def message_value(member: Member, value: Any) -> Any:
    """The value as eth_account wants it."""
    if member.column == "zone":
        return value.encode().ljust(32, b"\0")
    if member.column == "country":
        return value.encode()
    if member.type == "bytes32[]":
        return list(value)
    return "0x" + value.hex() if member.type == "address" else value


def by_eth_account(struct: TypedStruct, values: dict[str, Any]) -> tuple[bytes, bytes]:
    """(domain separator, struct hash) as eth_account computes them."""
    encoded = encode_typed_data(
        domain_data={
            "name": "ATH Ledger",
            "version": "1",
            "chainId": DOMAIN.chain_id,
            "verifyingContract": "0x" + DOMAIN.verifying_contract.hex(),
        },
        message_types={struct.name: [{"name": member.name, "type": member.type} for member in struct.members]},
        message_data={member.name: message_value(member, values[member.column]) for member in struct.members},
    )
    return bytes(encoded.header), bytes(encoded.body)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.name)
def test_struct_hash_and_digest_agree_with_eth_account(struct: TypedStruct) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.fixed_dictionaries({member.column: values_of(member) for member in struct.members}))
    def agree(values: dict[str, Any]) -> None:
        separator, struct_hash = by_eth_account(struct, values)
        assert DOMAIN.separator == separator
        assert struct.struct_hash(values) == struct_hash
        assert DOMAIN.digest(struct.struct_hash(values)) == keccak256(b"\x19\x01" + separator + struct_hash)

    agree()


@pytest.mark.parametrize("schema", list(Schema), ids=lambda schema: schema.title)
def test_columns_of_records_hash_like_single_records(schema: Schema) -> None:
    row = st.fixed_dictionaries({member.column: values_of(member, signed_64=True) for member in schema.struct.members})

    @settings(max_examples=15, deadline=None)
    @given(st.lists(row, max_size=5))
    def agree(rows: list[dict[str, Any]]) -> None:
        frame = pl.DataFrame(rows, schema=RECORD_COLUMNS[schema], orient="row")
        digests = [schema.struct.struct_hash(values) for values in rows]
        assert record_digests(schema, frame) == digests
        assert record_leaves(schema, frame) == [keccak256(keccak256(digest)) for digest in digests]

    agree()


@pytest.mark.parametrize("schema", list(Schema), ids=lambda schema: schema.title)
def test_record_columns_are_the_members_of_the_signed_type(schema: Schema) -> None:
    assert list(RECORD_COLUMNS[schema]) == [member.column for member in schema.struct.members]


def test_dataclasses_have_the_members_of_their_types_in_order() -> None:
    assert list(BatchHeader.__slots__) == [member.column for member in ATTESTATION_BATCH.members]
    assert list(NodeRegistration.__slots__) == [member.column for member in NODE_REGISTRATION.members]


def test_schema_id_is_the_attestation_service_rule_over_the_member_list() -> None:
    members = "bytes32 zone,uint64 windowStart,uint8 hours,bytes locationEf,bytes residualEf,bytes flags"
    assert schema_id(Schema.GRID) == keccak256(members.encode() + bytes(20) + b"\x01")
    assert schema_of(schema_id(Schema.GRID)) is Schema.GRID
    assert schema_of(bytes(32)) is None
    assert len({schema_id(schema) for schema in Schema}) == 4


@pytest.mark.parametrize(
    ("column", "value"),
    [("hours", 256), ("hours", -1), ("node_id", b"short"), ("capacity_check", 300)],
)
def test_a_value_that_does_not_fit_its_type_is_refused_not_cut(column: str, value: Any) -> None:
    row = {
        "node_id": bytes(32),
        "window_start": 0,
        "hours": 1,
        "up_mask": bytes(8),
        "seen_mask": bytes(8),
        "capacity_check": 0,
        column: value,
    }
    with pytest.raises(ItemRefusedError) as single:
        UPTIME_RECORD.struct_hash(row)
    with pytest.raises(ItemRefusedError) as columnar:
        record_digests(Schema.UPTIME, pl.DataFrame([row], schema=RECORD_COLUMNS[Schema.UPTIME], orient="row"))
    assert single.value.code == columnar.value.code == "file.value"


@pytest.mark.parametrize("zone", ["", "Ü", "A" * 33, "A\0B"])
def test_a_zone_that_is_not_ascii_of_its_width_is_refused(zone: str) -> None:
    values = {"zone": zone, "window_start": 0, "hours": 1, "location_ef": b"", "residual_ef": b"", "flags": b""}
    with pytest.raises(ItemRefusedError, match="zone"):
        GRID_FACTOR.struct_hash(values)
