"""An epoch's commitments equal what eth_abi and keccak say, field by field."""

import dataclasses
from itertools import pairwise
from typing import Any

import eth_abi
import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from ledger.model.header import EpochHeader, Manifest
from ledger.model.policy import POLICY_FIELDS, ModelFigures, Policy, Tables, ZoneFigures
from ledger.model.units import ZERO_HASH, Address, Bps, EpochNumber, Hash32, MicrogramsCo2e, Ppm, Wei
from ledger.tree.abi import EncodingError
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
from ledger.tree.parameters import (
    POLICY_TYPES,
    policy_document,
    policy_from_document,
    tables_document,
    tables_from_document,
)
from ledger.tree.standard import StandardTree

POLICY = Policy(
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
    tables_hash=Hash32(b"\x11" * 32),
)
TABLES = Tables(
    rules_version="v1",
    models={"T4-16GB": ModelFigures(tdp_w=70, capacity_milli=66, ref_active_mw=252_500, ref_idle_mw=140_500)},
    zones={
        "NO": ZoneFigures(market="NORDIC", yearly_ef_mg_per_kwh=30_000),
        "XX": ZoneFigures(market="X", yearly_ef_mg_per_kwh=None),
    },
)


def hash_of(number: int) -> Hash32:
    return Hash32(bytes([number]) * 32)


def test_ids_and_seeds_are_keccak_of_abi_words() -> None:
    operator, serial = Address(b"\xab" * 20), b"\x01" * 32
    assert node_id(operator, serial) == keccak(eth_abi.encode(["address", "bytes32"], [operator, serial]))
    seed = roles_seed(EpochNumber(9), hash_of(3))
    assert seed == keccak(eth_abi.encode(["uint64", "bytes32"], [9, hash_of(3)]))
    assert checker_position(seed, operator) == keccak(eth_abi.encode(["bytes32", "address"], [seed, operator]))
    node = node_id(operator, serial)
    assert node_position(seed, node) == keccak(eth_abi.encode(["bytes32", "bytes32"], [seed, node]))


def test_the_policy_hash_is_that_of_the_solidity_struct() -> None:
    assert tuple(POLICY_TYPES) == POLICY_FIELDS
    struct = f"({','.join(POLICY_TYPES.values())})"
    expected = keccak(eth_abi.encode([struct], [tuple(getattr(POLICY, name) for name in POLICY_FIELDS)]))
    assert policy_hash(POLICY) == expected


@pytest.mark.parametrize("name", [name for name in POLICY_FIELDS if POLICY_TYPES[name].startswith("uint")])
def test_every_number_of_a_policy_moves_its_hash_and_must_fit(name: str) -> None:
    moved = dataclasses.replace(POLICY, **{name: getattr(POLICY, name) + 1})
    assert policy_hash(moved) != policy_hash(POLICY)
    too_wide = dataclasses.replace(POLICY, **{name: 1 << int(POLICY_TYPES[name][4:])})
    with pytest.raises(EncodingError):
        policy_hash(too_wide)


def test_a_policy_survives_its_document() -> None:
    document = policy_document(POLICY)
    assert document["epochBudgetWei"] == "2874743000000000000000000"
    assert document["uMinPpm"] == 900_000
    assert document["countNuclear"] is False
    assert policy_from_document(document) == POLICY


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reserveBps", 70_000),
        ("reserveBps", "x"),
        ("reserveBps", 1.5),
        ("countNuclear", 1),
        ("tablesHash", "0x11"),
        ("tablesHash", 5),
        ("quorumQ", None),
    ],
)
def test_a_policy_document_with_a_wrong_member_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(EncodingError, match=key):
        policy_from_document({**policy_document(POLICY), key: value})


def test_a_policy_document_has_every_parameter_and_no_other() -> None:
    document = policy_document(POLICY)
    with pytest.raises(EncodingError, match="exactly the keys"):
        policy_from_document({**document, "bonusBps": 1})
    del document["gGridBps"]
    with pytest.raises(EncodingError, match="exactly the keys"):
        policy_from_document(document)


def test_tables_survive_their_document_and_hash_to_it() -> None:
    document = tables_document(TABLES)
    assert document == (
        b'{"models":{"T4-16GB":{"capacityMilli":66,"refActiveMilliWatt":252500,"refIdleMilliWatt":140500,"tdpW":70}},'
        b'"rulesVersion":"v1","zones":{"NO":{"market":"NORDIC","yearlyEfMgPerKwh":30000},'
        b'"XX":{"market":"X","yearlyEfMgPerKwh":null}}}'
    )
    assert tables_from_document(document) == TABLES
    assert tables_hash(TABLES) == keccak(document)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"tdpW":70', b'"tdpW":0'),
        (b'"tdpW":70', b'"tdpW":"70"'),
        (b'"tdpW":70', b'"tdpX":70'),
        (b"30000", b"2000001"),
        (b"null", b"true"),
        (b'"market":"X"', b'"market":""'),
        (b'"XX":', '"ÄX":'.encode()),
        (b'"XX":', b'"X X":'),
        (b'"v1"', b"1"),
        (b'"models":', b'"models": '),
    ],
)
def test_tables_with_a_wrong_figure_or_form_are_refused(old: bytes, new: bytes) -> None:
    document = tables_document(TABLES)
    assert old in document
    with pytest.raises(EncodingError):
        tables_from_document(document.replace(old, new))


HEADER = EpochHeader(
    epoch=EpochNumber(4),
    claim_root=hash_of(1),
    ledger_head=hash_of(2),
    policy_hash=hash_of(3),
    manifest_hash=hash_of(4),
    parent_hash=hash_of(5),
    payout=Wei(6),
    carbon=Wei(7),
    reserve=Wei(8),
    rollover=Wei(9),
    residual_micrograms=MicrogramsCo2e(10),
)


def test_the_header_hash_is_that_of_the_solidity_struct() -> None:
    struct = "(uint64,bytes32,bytes32,bytes32,bytes32,bytes32,uint96,uint96,uint96,uint96,uint128)"
    assert header_hash(HEADER) == keccak(eth_abi.encode([struct], [dataclasses.astuple(HEADER)]))
    with pytest.raises(EncodingError):
        header_hash(dataclasses.replace(HEADER, payout=Wei(2**96)))


def test_the_manifest_hash_places_the_rules_version_as_solidity_does() -> None:
    manifest = Manifest(
        epoch=EpochNumber(4),
        policy_hash=hash_of(1),
        rules_version="v1",
        evidence_root=hash_of(2),
        registrations_root=hash_of(3),
        used_ranges_root=ZERO_HASH,
        roles_block=123,
        roles_block_hash=hash_of(4),
        statements_hash=hash_of(5),
        rollover_in=Wei(6),
        carried_in_ug=MicrogramsCo2e(7),
        previous_seal=hash_of(8),
    )
    types = ["uint64", "bytes32", "string", *["bytes32"] * 3, "uint64", *["bytes32"] * 2, *["uint256"] * 2, "bytes32"]
    assert manifest_hash(manifest) == keccak(eth_abi.encode(types, list(dataclasses.astuple(manifest))))


def statement(number: int) -> StatementRow:
    return StatementRow(hash_of(number), *(number * 1000 + field for field in range(12)))


def test_the_statements_hash_runs_over_rows_by_ascending_node() -> None:
    rows = [statement(1), statement(2), statement(7)]
    encoded = b"".join(eth_abi.encode(["bytes32", *["uint256"] * 12], list(row)) for row in rows)
    assert statements_hash(rows) == keccak(encoded)
    assert statements_hash([]) == keccak(b"")
    with pytest.raises(EncodingError, match="out of place"):
        statements_hash(rows[::-1])
    with pytest.raises(EncodingError, match="out of place"):
        statements_hash([rows[0], rows[0]])
    with pytest.raises(EncodingError, match="outside uint256"):
        statements_hash([rows[0]._replace(pay_wei=-1)])


def test_used_ranges_are_merged_before_they_are_hashed() -> None:
    registry, issuance = hash_of(1), hash_of(2)
    ranges = [
        (registry, issuance, 10, 19),
        (registry, issuance, 0, 4),
        (registry, issuance, 5, 9),
        (registry, issuance, 21, 30),
    ]
    merged = StandardTree.of(
        ["bytes32", "bytes32", "uint64", "uint64"], [[registry, issuance, 0, 19], [registry, issuance, 21, 30]]
    )
    assert used_ranges_root(ranges) == merged.root
    assert used_ranges_root([]) == ZERO_HASH
    with pytest.raises(EncodingError, match="before its start"):
        used_ranges_root([(registry, issuance, 5, 4)])


interval = st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(st.tuples(st.sampled_from([1, 2]), interval), max_size=12))
def test_merging_ranges_keeps_exactly_the_same_watt_hours(cases: list[tuple[int, tuple[int, int]]]) -> None:
    ranges = [(hash_of(9), hash_of(issuance), start, end) for issuance, (start, end) in cases]
    merged = merge_ranges(ranges)
    before = {(issuance, wh) for _, issuance, start, end in ranges for wh in range(start, end + 1)}
    after = [(issuance, wh) for _, issuance, start, end in merged for wh in range(start, end + 1)]
    assert len(after) == len(set(after))
    assert set(after) == before
    assert merged == merge_ranges(list(reversed(ranges)))
    for left, right in pairwise(merged):
        assert left.issuance_id != right.issuance_id or left.end + 1 < right.start
