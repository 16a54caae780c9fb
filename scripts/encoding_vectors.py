"""Writes tests/vectors/encodings.json: inputs, bytes and hashes for the rules of docs/spec/encodings.md.

    python scripts/encoding_vectors.py            write the file
    python scripts/encoding_vectors.py --check    exit 1 when the file is not what this code computes

Another implementation can be held against the file without this code. Every input is synthetic. Bytes are
0x-hex, integers are numbers up to 2⁵³ and decimal strings beyond.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from ledger.evidence.items.batch import BatchHeader
from ledger.evidence.items.records import RECORD_COLUMNS
from ledger.evidence.items.registration import NodeRegistration
from ledger.evidence.items.revocation import WHOLE_BATCH, Revocation
from ledger.evidence.items.signing import KeySigner
from ledger.evidence.items.typed_data import (
    ATTESTATION_BATCH,
    NODE_REGISTRATION,
    REVOCATION,
    SET_PAYEE,
    Domain,
    Schema,
    TypedStruct,
    record_digests,
    record_leaves,
    schema_id,
)
from ledger.model.header import EpochHeader, Manifest
from ledger.model.policy import ModelFigures, Policy, Tables, ZoneFigures
from ledger.model.units import (
    ZERO_HASH,
    Address,
    Bps,
    EpochNumber,
    Hash32,
    MicrogramsCo2e,
    Ppm,
    Timestamp,
    Wei,
    to_hex,
)
from ledger.tree.abi import address_word, encode, fixed_bytes_word, uint_word
from ledger.tree.canonical import canonical_json
from ledger.tree.commitments import (
    StatementRow,
    checker_position,
    header_hash,
    manifest_hash,
    merge_ranges,
    node_id,
    node_position,
    policy_hash,
    roles_seed,
    statements_hash,
    tables_hash,
    used_ranges_root,
)
from ledger.tree.exchange import dump_tree
from ledger.tree.keccak import checksum_address, keccak256
from ledger.tree.parameters import policy_document, tables_document
from ledger.tree.payout import payout_tree
from ledger.tree.standard import root_of_digests

VECTORS = Path(__file__).resolve().parents[1] / "tests" / "vectors" / "encodings.json"
DOMAIN = Domain(chain_id=31_337, verifying_contract=Address(b"\x33" * 20))
START = Timestamp(1_686_823_200)
KEY = bytes(31) + b"\x01"
"""The private key 1: known to everybody."""

Vector = dict[str, Any]


def sample(label: str) -> Hash32:
    """A hash that stands for something."""
    return keccak256(label.encode("ascii"))


def account(label: str) -> Address:
    """An address that stands for somebody."""
    return Address(sample(label)[12:])


def shown(value: object) -> object:
    """A value as the file shows it."""
    match value:
        case bytes():
            return to_hex(value)
        case bool() | None | str():
            return value
        case int():
            return value if abs(value) <= 2**53 else str(value)
        case dict():
            return {name: shown(item) for name, item in value.items()}
        case list() | tuple():
            return [shown(item) for item in value]
        case _:
            raise TypeError(f"no vector shows a {type(value).__name__}")


def vector(rule: str, title: str, given: object, *, encoded: bytes | None = None, expected: object) -> Vector:
    """One line of the file; `encoded` are the bytes that are hashed."""
    entry: Vector = {"rule": rule, "title": title, "input": shown(given), "expected": shown(expected)}
    return entry if encoded is None else {**entry, "encoded": to_hex(encoded)}


def scalar_vectors() -> Iterator[Vector]:
    operator, serial = account("operator"), sample("serial")
    encoded = encode(address_word(operator), fixed_bytes_word(serial))
    given: Any = {"operator": operator, "serial": serial}
    yield vector("E1.5", "node id", given, encoded=encoded, expected=node_id(operator, serial))
    yield vector("E1.7", "EIP-55 text of an address", {"address": operator}, expected=checksum_address(operator))
    seed = roles_seed(EpochNumber(7), sample("roles block"))
    encoded = encode(uint_word(7, 64), fixed_bytes_word(sample("roles block")))
    given = {"epoch": 7, "rolesBlockHash": sample("roles block")}
    yield vector("R1.8", "seed of the ring of checkers", given, encoded=encoded, expected=seed)
    checker, node = account("checker"), node_id(operator, serial)
    encoded = encode(fixed_bytes_word(seed), address_word(checker))
    given = {"seed": seed, "checker": checker}
    yield vector("R1.8", "place of a checker", given, encoded=encoded, expected=checker_position(seed, checker))
    given = {"seed": seed, "nodeId": node}
    yield vector("R1.8", "start of a node", given, encoded=seed + node, expected=node_position(seed, node))


def records() -> Iterator[tuple[Schema, dict[str, Any]]]:
    """One record of each schema, two hours long where hours are counted."""
    node = node_id(account("operator"), sample("serial"))
    yield (
        Schema.UPTIME,
        {
            "node_id": node,
            "window_start": START,
            "hours": 2,
            "up_mask": (2**60 - 1).to_bytes(8, "big") + (2**60 - 2).to_bytes(8, "big"),
            "seen_mask": (2**60 - 1).to_bytes(8, "big") * 2,
            "capacity_check": 1,
        },
    )
    yield (
        Schema.ENERGY,
        {
            "node_id": node,
            "window_start": START,
            "hours": 2,
            "zone": "US-CAL-CISO",
            "gpu_count": 8,
            "pue_e4": 12_500,
            "meter_class": 2,
            "active_gpu_sec": (14_400).to_bytes(4, "big") * 2,
            "gpu_millijoule": (6_100_000_000).to_bytes(8, "big") * 2,
            "it_wh": (2950).to_bytes(4, "big") * 2,
            "water_ml": (500).to_bytes(4, "big") * 2,
        },
    )
    yield (
        Schema.RENEWABLE,
        {
            "registry_id": sample("registry"),
            "issuance_id": sample("issuance"),
            "range_start": 1_000_000,
            "range_end": 1_002_949,
            "device_id": sample("device"),
            "device_capacity_w": 80_000_000,
            "source": 1,
            "tier": 1,
            "zone": "US-CAL-CISO",
            "production_start": START,
            "production_end": START + 3600,
            "node_id": node,
            "consumption_hour": START,
            "beneficiary": account("operator"),
            "cancelled_at": START + 7200,
            "cancellation_ref": sample("cancellation"),
        },
    )
    yield (
        Schema.GRID,
        {
            "zone": "NO",
            "window_start": START,
            "hours": 2,
            "location_ef": (26_170).to_bytes(4, "big") + (25_830).to_bytes(4, "big"),
            "residual_ef": (599_000).to_bytes(4, "big") * 2,
            "flags": bytes([0, 1]),
        },
    )


def named(struct: TypedStruct, values: dict[str, Any]) -> dict[str, Any]:
    """Values under the names that are signed."""
    return {member.name: values[member.column] for member in struct.members}


def typed_vectors() -> Iterator[Vector]:
    given: Any = {
        "name": "ATH Ledger",
        "version": "1",
        "chainId": 31_337,
        "verifyingContract": DOMAIN.verifying_contract,
    }
    yield vector("E2.1", "domain separator", given, expected=DOMAIN.separator)
    for schema, record in records():
        frame = pl.DataFrame([record], schema=RECORD_COLUMNS[schema])
        (digest,), (leaf,) = record_digests(schema, frame), record_leaves(schema, frame)
        struct = schema.struct
        yield vector("E2.2", f"type hash of {struct.name}", struct.type_string, expected=struct.typehash)
        expected: Any = {"hashStruct": digest, "leaf": leaf}
        yield vector("E3.3", f"{struct.name} and its leaf", named(struct, record), expected=expected)
        encoded = struct.member_list.encode("ascii") + bytes(20) + b"\x01"
        given = struct.member_list
        yield vector("E3.2", f"schema id of {schema.title}", given, encoded=encoded, expected=schema_id(schema))
    for struct, values in messages():
        yield vector("E2.2", f"type hash of {struct.name}", struct.type_string, expected=struct.typehash)
        message = struct.struct_hash(values)
        digest = DOMAIN.digest(message)
        expected = {"hashStruct": message, "digest": digest, "signature": KeySigner(KEY).sign(digest)}
        yield vector("E2.4", f"{struct.name}, signed with the private key 1", named(struct, values), expected=expected)


def messages() -> Iterator[tuple[TypedStruct, dict[str, Any]]]:
    """One of each message that is signed on its own."""
    signer = KeySigner(KEY).address
    registration = NodeRegistration(
        operator=signer,
        serial=sample("serial"),
        model="H100-SXM-80GB",
        gpu_ids=(sample("gpu 0"), sample("gpu 1")),
        zone="NO",
        country="NO",
        nameplate_w=2400,
        valid_from=Timestamp(START - 86_400),
        valid_to=Timestamp(START + 86_400),
        sequence=0,
    )
    yield NODE_REGISTRATION, asdict(registration)
    header = BatchHeader(
        schema_id=schema_id(Schema.UPTIME),
        epoch=EpochNumber(3),
        window_start=START,
        window_end=Timestamp(START + 7200),
        record_count=2,
        records_root=root_of_digests([sample("record 0"), sample("record 1")]),
        verifier=signer,
        sequence=1,
        previous_batch=sample("previous batch"),
        issued_at=Timestamp(START + 7800),
        expires_at=Timestamp(START + 200_000),
    )
    yield ATTESTATION_BATCH, asdict(header)
    revocation = Revocation(
        batch_uid=header.uid(DOMAIN), record=WHOLE_BATCH, reason=1, revoked_at=Timestamp(START + 9000)
    )
    yield REVOCATION, asdict(revocation)
    yield SET_PAYEE, {"account": signer, "payee": account("payee"), "nonce": 0, "deadline": 2**256 - 1}


def tree_vectors() -> Iterator[Vector]:
    for count in (0, 1, 2, 3, 5):
        digests = [sample(f"digest {number}") for number in range(count)]
        yield vector("E2.7", f"root of {count} digests", digests, expected=root_of_digests(digests))
    twice = [sample("digest 0"), sample("digest 1"), sample("digest 0")]
    yield vector("E2.5", "the same digest twice", twice, expected=root_of_digests(twice))
    accounts = [account(f"operator {number}") for number in range(5)]
    amounts = [10**18 * (number + 1) + number for number in range(5)]
    tree = payout_tree(accounts, amounts)
    given = [list(pair) for pair in zip(accounts, amounts, strict=True)]
    expected = {"root": tree.root, "proofs": [tree.proof_at(place) for place in range(5)], "dump": dump_tree(tree)}
    yield vector("E2.9", "payout tree, its proofs in the order of accounts and its npm dump", given, expected=expected)


def sample_tables() -> Tables:
    return Tables(
        rules_version="v1",
        models={
            "H100-SXM-80GB": ModelFigures(tdp_w=700, capacity_milli=1000, ref_active_mw=725_000, ref_idle_mw=235_000),
            "T4-16GB": ModelFigures(tdp_w=70, capacity_milli=66, ref_active_mw=252_500, ref_idle_mw=140_500),
        },
        zones={
            "NO": ZoneFigures(market="EU-GO", yearly_ef_mg_per_kwh=30_078),
            "XX": ZoneFigures(market="XX", yearly_ef_mg_per_kwh=None),
        },
    )


def parameter_vectors() -> Iterator[Vector]:
    tables = sample_tables()
    document = tables_document(tables)
    yield vector("E4.3", "tables", document.decode("utf-8"), encoded=document, expected=tables_hash(tables))
    policy = Policy(
        epoch_budget_wei=Wei(2_874_743 * 10**18),
        reserve_bps=Bps(1000),
        carbon_cap_bps=Bps(500),
        carbon_price_wei_per_tonne=Wei(800 * 10**18),
        u_min_ppm=Ppm(900_000),
        u_full_ppm=Ppm(990_000),
        k_eff_bps=Bps(5000),
        s_clamp_ppm=Ppm(400_000),
        pue_ref_e4=15_400,
        g_match_bps=Bps(2000),
        t2_quality_bps=Bps(2500),
        g_grid_bps=Bps(500),
        ref_ef_mg_per_kwh=475_000,
        max_mult_ppm=Ppm(1_500_000),
        quorum_q=3,
        quorum_k=5,
        count_nuclear=False,
        tables_hash=tables_hash(tables),
    )
    yield vector("E4.1", "policy", policy_document(policy), expected=policy_hash(policy))
    values: list[Any] = [
        {"b": [True, None, -1], "a": {}},
        {"ö": 1, "€": 2, "😀": 3, "דּ": 4, "1": 5},
        ['tab\t quote" slash/ backslash\\ bell\u0007'],
        [2**53, 2**53 + 1, -(2**53) - 1],
    ]
    for value in values:
        encoded = canonical_json(value)
        yield vector("E4.2", "canonical JSON", value, encoded=encoded, expected=keccak256(encoded))


def commitment_vectors() -> Iterator[Vector]:
    registry, issuance = sample("registry"), sample("issuance")
    ranges = [(registry, issuance, 10, 19), (registry, issuance, 0, 9), (registry, issuance, 21, 30)]
    merged = [list(row) for row in merge_ranges(ranges)]
    expected = {"merged": merged, "root": used_ranges_root(ranges)}
    yield vector("E5.3", "used ranges, two of them adjacent", [list(row) for row in ranges], expected=expected)
    rows = [
        StatementRow(node, *(1000 * place + part for part in range(12))) for place, node in enumerate(sample_nodes())
    ]
    encoded = b"".join(row[0] + b"".join(uint_word(number) for number in row[1:]) for row in rows)
    given = [row._asdict() for row in rows]
    yield vector("E5.4", "statements", given, encoded=encoded, expected=statements_hash(rows))
    yield vector("E5.4", "no statement", [], encoded=b"", expected=statements_hash([]))
    manifest = Manifest(
        epoch=EpochNumber(7),
        policy_hash=sample("policy"),
        rules_version="v1",
        evidence_root=sample("evidence"),
        registrations_root=sample("registrations"),
        used_ranges_root=ZERO_HASH,
        roles_block=1234,
        roles_block_hash=sample("roles block"),
        statements_hash=sample("statements"),
        rollover_in=Wei(5 * 10**18),
        carried_in_ug=MicrogramsCo2e(10**15),
        previous_seal=sample("previous seal"),
    )
    yield vector("E5.5", "manifest", asdict(manifest), expected=manifest_hash(manifest))
    header = EpochHeader(
        epoch=EpochNumber(7),
        claim_root=sample("claim root"),
        ledger_head=sample("ledger head"),
        policy_hash=sample("policy"),
        manifest_hash=manifest_hash(manifest),
        parent_hash=sample("parent"),
        payout=Wei(2_400_000 * 10**18 + 1),
        carbon=Wei(10**18),
        reserve=Wei(2 * 10**18),
        rollover=Wei(0),
        residual_micrograms=MicrogramsCo2e(10**13),
    )
    yield vector("E5.6", "header", asdict(header), expected=header_hash(header))


def sample_nodes() -> list[bytes]:
    """Node ids, ascending."""
    return sorted(sample(f"node {number}") for number in range(3))


GROUPS: dict[str, Callable[[], Iterator[Vector]]] = {
    "scalars": scalar_vectors,
    "typed data": typed_vectors,
    "trees": tree_vectors,
    "parameters": parameter_vectors,
    "commitments": commitment_vectors,
}


def document() -> str:
    """The whole file."""
    about = "Made by scripts/encoding_vectors.py. Rules E are docs/spec/encodings.md, R docs/spec/rewards.md."
    groups = {name: list(make()) for name, make in GROUPS.items()}
    return json.dumps({"about": about, "vectors": groups}, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    wanted = document()
    if not parser.parse_args().check:
        VECTORS.write_text(wanted, encoding="utf-8")
        return 0
    if VECTORS.exists() and VECTORS.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{VECTORS.name} is not what the code computes. Next: python scripts/encoding_vectors.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
