"""Files for the Safe app: its own checksum, and calls that it encodes to the bytes we mean."""

from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from ledger.chain.contracts.artefacts import ACCESS_MANAGER, POLICY_REGISTRY, interface
from ledger.chain.contracts.contract import Call
from ledger.chain.contracts.interface import Decoded
from ledger.chain.sending.safe import is_intact, safe_batch, safe_checksum
from ledger.model.units import Address, Timestamp, from_hex
from ledger.tree.keccak import keccak256

SAFE = Address(b"\x11" * 20)
TARGET = Address(b"\x22" * 20)
OWNER = "0x49d4450977E2c95362C13D3a31a09311E0Ea26A6"
PUBLISHED: dict[str, Any] = {
    "version": "1.0",
    "chainId": "4",
    "createdAt": 1646321521061,
    "meta": {
        "name": "test batch file",
        "txBuilderVersion": "1.4.0",
        "checksum": "",
        "createdFromSafeAddress": "0xDF8a1Ce35c9a6ACE153B4e0767942f1E2291a1Aa",
        "createdFromOwnerAddress": OWNER,
    },
    "transactions": [
        {
            "to": OWNER,
            "value": "0",
            "contractMethod": {
                "inputs": [{"internalType": "address", "name": "paramAddress", "type": "address"}],
                "name": "testAddress",
                "payable": False,
            },
            "contractInputsValues": {"paramAddress": OWNER},
        },
        {
            "to": OWNER,
            "value": "0",
            "contractMethod": {
                "inputs": [{"internalType": "bool", "name": "paramBool", "type": "bool"}],
                "name": "testBool",
                "payable": False,
            },
            "contractInputsValues": {"paramAddress": "", "paramBool": "false"},
        },
        {
            "to": OWNER,
            "value": "2000000000000000000",
            "data": "0x42f4579000000000000000000000000049d4450977e2c95362c13d3a31a09311e0ea26a6",
        },
    ],
}
"""The example in the tests of the Transaction Builder (safe-global/safe-react-apps, lib/checksum.test.js)."""


def call(contract: str, function: str, *values: object) -> Call:
    calldata = interface(contract).encode(function, *values)
    meaning = interface(contract).describe(calldata)
    assert meaning is not None
    return Call(to=TARGET, calldata=calldata, meaning=meaning, contract=contract)


def batch(*calls: Call, description: str = "what and why") -> dict[str, Any]:
    return safe_batch(
        calls, chain_id=1, safe=SAFE, created_at=Timestamp(1_700_000_000), name="a name", description=description
    )


def encoded_by_the_app(transaction: dict[str, Any]) -> bytes:
    """What the app makes of a transaction: its bytes, or the method's values encoded."""
    if transaction["data"] is not None:
        return from_hex(transaction["data"])
    method, given_values = transaction["contractMethod"], transaction["contractInputsValues"]
    types = [part["type"] for part in method["inputs"]]
    values = [_value(kind, given_values[part["name"]]) for kind, part in zip(types, method["inputs"], strict=True)]
    return keccak256(f"{method['name']}({','.join(types)})".encode())[:4] + encode(types, values)


def _value(kind: str, text: str) -> object:
    if kind.startswith("uint"):
        return int(text)
    if kind == "bool":
        return text == "true"
    return from_hex(text) if kind.startswith("bytes") else text


def test_the_checksum_is_the_one_the_app_publishes_for_its_example() -> None:
    assert safe_checksum(PUBLISHED) == "0x4ecbfd364aa6759983915644e73f8bd411e85a2dc306f252a387c2728c4db64c"


def test_an_announcement_is_shown_decoded_and_encodes_to_our_calldata() -> None:
    schedule = call(ACCESS_MANAGER, "schedule", TARGET, b"\x01\x02\x03", 0)
    execute = call(ACCESS_MANAGER, "execute", TARGET, b"\x01\x02\x03")
    transactions = batch(schedule, execute)["transactions"]
    assert [each["contractMethod"]["name"] for each in transactions] == ["schedule", "execute"]
    assert [encoded_by_the_app(each) for each in transactions] == [schedule.calldata, execute.calldata]


def test_a_call_with_an_array_is_given_as_bytes() -> None:
    role = call(POLICY_REGISTRY, "setVerifier", bytes(32), TARGET, TARGET, [b"\x05" * 32], 3, 9)
    (transaction,) = batch(role)["transactions"]
    assert transaction["contractMethod"] is None
    assert encoded_by_the_app(transaction) == role.calldata


def test_a_call_to_a_contract_that_is_none_of_ours_is_given_as_bytes() -> None:
    unknown = Call(to=TARGET, calldata=b"\xde\xad", meaning=Decoded(name="0xdead", arguments={}), contract="unknown")
    assert encoded_by_the_app(batch(unknown)["transactions"][0]) == b"\xde\xad"


def test_a_file_names_its_chain_its_safe_and_its_time_in_milliseconds() -> None:
    made = batch(call(ACCESS_MANAGER, "execute", TARGET, b""))
    assert (made["chainId"], made["createdAt"]) == ("1", 1_700_000_000_000)
    assert made["meta"]["createdFromSafeAddress"] == "0x" + "11" * 20


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=70))
def test_every_file_is_intact_and_no_changed_one_is(description: str, data: bytes) -> None:
    made = batch(call(ACCESS_MANAGER, "execute", TARGET, data), description=description)
    assert is_intact(made)
    assert is_intact(made | {"meta": made["meta"] | {"name": "renamed, as the app allows"}})
    assert not is_intact(made | {"meta": made["meta"] | {"description": description + "!"}})
    assert not is_intact(made | {"transactions": [made["transactions"][0] | {"value": "1"}]})


@pytest.mark.parametrize("member", ["version", "chainId", "createdAt"])
def test_the_checksum_covers_every_member(member: str) -> None:
    made = batch(call(ACCESS_MANAGER, "execute", TARGET, b""))
    assert not is_intact(made | {member: "other"})
