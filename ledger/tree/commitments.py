"""The hashes an epoch commits to: ids, seeds, policy, tables, statements, ranges, manifest, header.

Each function is one line of docs/spec/encodings.md; the vectors in tests/vectors/encodings.json pin
them, and the auditor uses the same functions: an encoding is a fact, not a calculation to repeat.
"""

from collections.abc import Iterable
from typing import NamedTuple

import sha3

from ledger.model.header import EpochHeader, Manifest
from ledger.model.policy import Policy, Tables
from ledger.model.units import Address, EpochNumber, Hash32, NodeId
from ledger.tree.abi import EncodingError, address_word, bool_word, encode, fixed_bytes_word, uint_word
from ledger.tree.keccak import keccak256
from ledger.tree.parameters import POLICY_TYPES, tables_document
from ledger.tree.standard import StandardTree

USED_RANGE_ENCODING = ("bytes32", "bytes32", "uint64", "uint64")


class UsedRange(NamedTuple):
    """Watt-hour ids of one issuance that were credited; both ends belong to the range."""

    registry_id: bytes
    issuance_id: bytes
    start: int
    end: int


class StatementRow(NamedTuple):
    """What a node's statement contributes to the statements hash, in hashing order and in the rules' letters.

    C milli-H100; U, E, G, M ppm; W the weight; carbon in µg; pay and its three lines in wei.
    """

    node_id: bytes
    capacity: int
    uptime: int
    efficiency: int
    green: int
    multiplier: int
    weight: int
    location_ug: int
    residual_ug: int
    pay_wei: int
    base_wei: int
    efficiency_wei: int
    green_wei: int


def node_id(operator: Address, serial: bytes) -> NodeId:
    """keccak256(abi.encode(operator, serial)); the serial has 32 bytes (E1.5)."""
    return NodeId(keccak256(encode(address_word(operator), fixed_bytes_word(serial))))


def roles_seed(epoch: EpochNumber, roles_block_hash: Hash32) -> Hash32:
    """The seed of an epoch's ring of checkers: keccak256(abi.encode(uint64 epoch, bytes32 rolesBlockHash))."""
    return keccak256(encode(uint_word(epoch, 64), fixed_bytes_word(roles_block_hash)))


def checker_position(seed: Hash32, checker: Address) -> Hash32:
    """Where a checker stands on the ring: keccak256(abi.encode(seed, checker))."""
    return keccak256(encode(fixed_bytes_word(seed), address_word(checker)))


def node_position(seed: Hash32, node: NodeId) -> Hash32:
    """Where a node's search for checkers begins: keccak256(abi.encode(seed, nodeId))."""
    return keccak256(encode(fixed_bytes_word(seed), fixed_bytes_word(node)))


def policy_hash(policy: Policy) -> Hash32:
    """keccak256(abi.encode(Policy)), as the contract computes it (E4.1). EncodingError when a member does not fit."""
    words = []
    for name, kind in POLICY_TYPES.items():
        value = getattr(policy, name)
        if kind == "bool":
            words.append(bool_word(value))
        elif kind == "bytes32":
            words.append(fixed_bytes_word(value))
        else:
            words.append(uint_word(value, int(kind[4:])))
    return keccak256(encode(*words))


def tables_hash(tables: Tables) -> Hash32:
    """keccak256 of `tables_document` (E4.3)."""
    return keccak256(tables_document(tables))


def statements_hash(rows: Iterable[tuple[bytes, int, int, int, int, int, int, int, int, int, int, int, int]]) -> Hash32:
    """keccak256 over abi.encode of every statement row (`StatementRow`'s order), by ascending node id (E5.4).

    Raises EncodingError when the rows are not strictly ascending or a number is negative.
    """
    digest = sha3.keccak_256()
    previous = b""
    for row in rows:
        if len(row) != 13 or len(row[0]) != 32 or row[0] <= previous:
            raise EncodingError(f"statement rows are 13 values by ascending node id; 0x{row[0].hex()} is out of place")
        previous = row[0]
        try:
            digest.update(previous + b"".join([number.to_bytes(32, "big") for number in row[1:]]))
        except OverflowError as error:
            raise EncodingError(f"the statement of node 0x{previous.hex()} has a number outside uint256") from error
    return Hash32(digest.digest())


def used_ranges_root(ranges: Iterable[tuple[bytes, bytes, int, int]]) -> Hash32:
    """The root of the register of used certificate ranges, as a tree (E5.3); zero for none.

    Rows are `UsedRange`s in any order; overlapping and adjacent ones are merged.
    """
    rows = [
        fixed_bytes_word(registry) + fixed_bytes_word(issuance) + uint_word(start, 64) + uint_word(end, 64)
        for registry, issuance, start, end in merge_ranges(ranges)
    ]
    return StandardTree.of_encoded(USED_RANGE_ENCODING, rows).root


def merge_ranges(ranges: Iterable[tuple[bytes, bytes, int, int]]) -> list[UsedRange]:
    """The same Wh ids as sorted ranges of which no two touch (E5.3)."""
    merged: list[UsedRange] = []
    for registry, issuance, start, end in sorted(ranges):
        if start > end:
            raise EncodingError(f"a used range ends at {end}, before its start {start}")
        last = merged[-1] if merged else None
        if last is None or (last.registry_id, last.issuance_id) != (registry, issuance) or last.end + 1 < start:
            merged.append(UsedRange(registry, issuance, start, end))
        elif end > last.end:
            merged[-1] = last._replace(end=end)
    return merged


def manifest_hash(manifest: Manifest) -> Hash32:
    """keccak256(abi.encode(…)) of the manifest's members in their order; rulesVersion is a dynamic string (E5.5)."""
    return keccak256(
        encode(
            uint_word(manifest.epoch, 64),
            fixed_bytes_word(manifest.policy_hash),
            manifest.rules_version,
            fixed_bytes_word(manifest.evidence_root),
            fixed_bytes_word(manifest.registrations_root),
            fixed_bytes_word(manifest.used_ranges_root),
            uint_word(manifest.roles_block, 64),
            fixed_bytes_word(manifest.roles_block_hash),
            fixed_bytes_word(manifest.statements_hash),
            uint_word(manifest.rollover_in),
            uint_word(manifest.carried_in_ug),
            fixed_bytes_word(manifest.previous_seal),
        )
    )


def header_hash(header: EpochHeader) -> Hash32:
    """keccak256(abi.encode(EpochHeader)), what the contract stores of an epoch (E5.6)."""
    return keccak256(
        encode(
            uint_word(header.epoch, 64),
            fixed_bytes_word(header.claim_root),
            fixed_bytes_word(header.ledger_head),
            fixed_bytes_word(header.policy_hash),
            fixed_bytes_word(header.manifest_hash),
            fixed_bytes_word(header.parent_hash),
            uint_word(header.payout, 96),
            uint_word(header.carbon, 96),
            uint_word(header.reserve, 96),
            uint_word(header.rollover, 96),
            uint_word(header.residual_micrograms, 128),
        )
    )
