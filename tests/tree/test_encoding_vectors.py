"""The published vectors are what the code computes, and what independent libraries compute from their inputs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import eth_abi
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak, to_checksum_address

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests/vectors/encodings.json").read_text(encoding="utf-8"))["vectors"]
EVERY = [vector for group in VECTORS.values() for vector in group]
DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def of_rule(rule: str, start: str = "") -> list[dict[str, Any]]:
    found = [vector for vector in EVERY if vector["rule"] == rule and vector["title"].startswith(start)]
    assert found, f"no vector of {rule} {start}"
    return found


def test_the_file_is_what_the_script_writes() -> None:
    run = subprocess.run([sys.executable, "scripts/encoding_vectors.py", "--check"], cwd=ROOT, check=False)
    assert run.returncode == 0


def test_every_hash_is_the_keccak_of_the_bytes_beside_it() -> None:
    hashed = [vector for vector in EVERY if "encoded" in vector]
    assert len(hashed) > 10
    for vector in hashed:
        assert vector["expected"] == "0x" + keccak(raw(vector["encoded"])).hex(), vector["title"]


@pytest.mark.parametrize("vector", of_rule("E2.2"), ids=lambda vector: vector["title"])
def test_type_hashes_and_type_strings(vector: dict[str, Any]) -> None:
    assert vector["input"] in (ROOT / "docs/spec/encodings.md").read_text(encoding="utf-8")
    assert vector["expected"] == "0x" + keccak(text=vector["input"]).hex()


def typed_message(vector: dict[str, Any]) -> dict[str, Any]:
    name = vector["title"].split(" ", 1)[0].rstrip(",")
    (type_vector,) = of_rule("E2.2", f"type hash of {name}")
    members = type_vector["input"].removeprefix(f"{name}(").removesuffix(")").split(",")
    fields = [dict(zip(("type", "name"), member.split(" "), strict=True)) for member in members]
    message: dict[str, Any] = {}
    for field in fields:
        value = vector["input"][field["name"]]
        if field["type"] in ("bytes32", "bytes2") and not value.startswith("0x"):
            value = value.encode("ascii").ljust(int(field["type"][5:]), b"\0")  # zones and countries are shown as text
        elif field["type"].startswith("bytes") and isinstance(value, str):
            value = raw(value)
        elif field["type"].startswith("uint"):
            value = int(value)
        elif field["type"] == "bytes32[]":
            value = [raw(item) for item in value]
        message[field["name"]] = value
    (domain,) = of_rule("E2.1")
    return {
        "types": {"EIP712Domain": DOMAIN_FIELDS, name: fields},
        "primaryType": name,
        "domain": domain["input"],
        "message": message,
    }


@pytest.mark.parametrize("vector", of_rule("E2.4"), ids=lambda vector: vector["title"])
def test_eth_account_signs_the_same_digest(vector: dict[str, Any]) -> None:
    signable = encode_typed_data(full_message=typed_message(vector))
    assert signable.body.hex() == vector["expected"]["hashStruct"][2:]
    (domain,) = of_rule("E2.1")
    assert signable.header.hex() == domain["expected"][2:]
    signed = Account.sign_message(signable, bytes(31) + b"\x01")
    assert signed.message_hash.hex() == vector["expected"]["digest"][2:]
    assert signed.signature.hex() == vector["expected"]["signature"][2:]


@pytest.mark.parametrize("vector", of_rule("E3.3"), ids=lambda vector: vector["title"])
def test_eth_account_hashes_the_same_records(vector: dict[str, Any]) -> None:
    body = encode_typed_data(full_message=typed_message(vector)).body
    assert body.hex() == vector["expected"]["hashStruct"][2:]
    assert keccak(keccak(body)).hex() == vector["expected"]["leaf"][2:]


def test_ids_and_addresses() -> None:
    (node,) = of_rule("E1.5")
    words = [raw(node["input"]["operator"]), raw(node["input"]["serial"])]
    assert node["encoded"] == "0x" + eth_abi.encode(["address", "bytes32"], words).hex()
    (address,) = of_rule("E1.7")
    assert address["expected"] == to_checksum_address(address["input"]["address"])


POLICY_STRUCT = (
    "(uint96,uint16,uint16,uint256,uint32,uint32,uint16,uint32,uint16,uint16,uint16,uint16,uint32,uint32,"
    "uint8,uint8,bool,bytes32)"
)


def test_the_policy_and_its_tables() -> None:
    (policy,) = of_rule("E4.1")
    (tables,) = of_rule("E4.3")
    assert policy["input"]["tablesHash"] == tables["expected"]
    values = [
        value if isinstance(value, bool) else raw(value) if str(value).startswith("0x") else int(value)
        for value in policy["input"].values()
    ]
    assert policy["expected"] == "0x" + keccak(eth_abi.encode([POLICY_STRUCT], [tuple(values)])).hex()


def test_manifest_and_header() -> None:
    (manifest,) = of_rule("E5.5")
    (header,) = of_rule("E5.6")
    types = [
        "uint64",
        "bytes32",
        "string",
        "bytes32",
        "bytes32",
        "bytes32",
        "uint64",
        "bytes32",
        "bytes32",
        "uint256",
        "uint256",
        "bytes32",
    ]
    values = [given(kind, value) for kind, value in zip(types, manifest["input"].values(), strict=True)]
    assert manifest["expected"] == "0x" + keccak(eth_abi.encode(types, values)).hex()
    assert header["input"]["manifest_hash"] == manifest["expected"]
    types = [
        "uint64",
        "bytes32",
        "bytes32",
        "bytes32",
        "bytes32",
        "bytes32",
        "uint96",
        "uint96",
        "uint96",
        "uint96",
        "uint128",
    ]
    values = [given(kind, value) for kind, value in zip(types, header["input"].values(), strict=True)]
    assert header["expected"] == "0x" + keccak(eth_abi.encode(types, values)).hex()


def given(kind: str, value: Any) -> Any:
    if kind.startswith("uint"):
        return int(value)
    return value if kind == "string" else raw(value)
