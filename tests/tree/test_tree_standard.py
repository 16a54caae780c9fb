"""Standard trees: storage, proofs, and refusal of everything damaged."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.model.units import ZERO_HASH, Address, Hash32
from ledger.tree.abi import EncodingError
from ledger.tree.exchange import dump_tree, load_tree
from ledger.tree.keccak import keccak256
from ledger.tree.payout import payout_proof, payout_tree
from ledger.tree.standard import (
    LeafNotFoundError,
    StandardTree,
    TreeError,
    hash_pair,
    leaf_hash,
    root_of_digests,
    verify_proof,
)


def account(number: int) -> Address:
    return Address(keccak256(b"account %d" % number)[:20])


def small_tree(count: int = 9) -> StandardTree:
    return payout_tree([account(i) for i in range(count)], [10**18 * (i + 1) for i in range(count)])


digests = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


@given(digests)
def test_every_leaf_has_a_proof_no_longer_than_the_depth(values: list[bytes]) -> None:
    tree = StandardTree.of(["bytes32"], [[value] for value in values])
    tree.validate()
    for index, value in enumerate(values):
        proof = tree.proof_at(index)
        assert len(proof) <= tree.depth
        assert verify_proof(tree.root, leaf_hash(value), proof)
        assert verify_proof(tree.root, leaf_hash(value), tree.proof_of([value]))


@given(digests, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_no_root(values: list[bytes], shuffled: Any) -> None:
    other = list(values)
    shuffled.shuffle(other)
    assert root_of_digests(values) == root_of_digests(other)
    assert root_of_digests(values) == StandardTree.of(["bytes32"], [[value] for value in values]).root


def test_an_empty_tree_has_the_zero_root_and_proves_nothing() -> None:
    empty = payout_tree([], [])
    assert empty.root == ZERO_HASH == root_of_digests([])
    assert not verify_proof(ZERO_HASH, ZERO_HASH, [])
    assert StandardTree.from_bytes(empty.to_bytes()).root == ZERO_HASH
    assert load_tree(dump_tree(empty)).root == ZERO_HASH
    with pytest.raises(LeafNotFoundError):
        payout_proof(empty, account(1))
    with pytest.raises(LeafNotFoundError):
        StandardTree.of(["bytes32"], []).proof_of([bytes(32)])


def test_a_stored_tree_opens_from_its_file_and_proves_every_account(tmp_path: Path) -> None:
    tree = small_tree()
    path = tmp_path / "claims.tree"
    path.write_bytes(tree.to_bytes())
    stored = StandardTree.open(path)
    stored.validate()
    assert stored.root == tree.root
    for number in range(9):
        proof = payout_proof(stored, account(number))
        assert proof.cumulative_wei == 10**18 * (number + 1)
        assert proof.root == tree.root
    with pytest.raises(LeafNotFoundError, match="has no leaf"):
        payout_proof(stored, account(99))


@pytest.mark.parametrize("cut", [0, 7, 20, 100, -1])
def test_a_stored_tree_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.tree"
    path.write_bytes(small_tree().to_bytes()[:cut])
    with pytest.raises(TreeError):
        StandardTree.open(path)


def test_a_single_flipped_bit_anywhere_in_a_stored_tree_is_found() -> None:
    stored = small_tree().to_bytes()
    for at in range(len(stored)):
        damaged = bytearray(stored)
        damaged[at] ^= 1
        with pytest.raises(TreeError):
            StandardTree.from_bytes(bytes(damaged)).validate()


def test_a_damaged_stored_tree_yields_no_proof() -> None:
    tree = small_tree()
    stored = bytearray(tree.to_bytes())
    nodes_at = len(stored) - 9 * 64 - 9 * 4 - 17 * 32
    sibling = tree.tree_index(0)
    sibling += 1 if sibling % 2 else -1
    stored[nodes_at + 32 * sibling] ^= 1
    with pytest.raises(TreeError, match="does not lead to the root"):
        payout_proof(StandardTree.from_bytes(bytes(stored)), Address(bytes(tree.value_at(0)[0])))  # type: ignore[arg-type]


def test_an_inner_node_cannot_pass_for_a_leaf() -> None:
    tree = small_tree(4)
    inner = tree.node_at(1)
    assert verify_proof(tree.root, inner, [tree.node_at(2)])  # as a node it is in the tree
    children = tree.node_at(3) + tree.node_at(4)
    assert hash_pair(tree.node_at(3), tree.node_at(4)) == inner
    assert leaf_hash(children) != inner  # as 64 bytes of a leaf it is not


def test_a_proof_with_a_node_more_or_less_or_changed_is_refused() -> None:
    tree = small_tree()
    leaf, proof = leaf_hash(tree.encoded_at(3)), tree.proof_at(3)
    assert verify_proof(tree.root, leaf, proof)
    assert not verify_proof(tree.root, leaf, proof[:-1])
    assert not verify_proof(tree.root, leaf, [*proof, Hash32(bytes(32))])
    assert not verify_proof(tree.root, leaf, [*proof[:-1], bytes(31)])
    assert not verify_proof(tree.root, leaf_hash(tree.encoded_at(4)), proof)


def test_a_leaf_and_sibling_cut_elsewhere_are_refused() -> None:
    tree = small_tree(2)
    pair = min(tree.node_at(1), tree.node_at(2)) + max(tree.node_at(1), tree.node_at(2))
    assert verify_proof(tree.root, Hash32(pair[:32]), [pair[32:]])
    assert not verify_proof(tree.root, Hash32(pair[:31]), [pair[31:]])


def test_two_equal_values_need_two_leaves() -> None:
    dump = dump_tree(StandardTree.of(["bytes32"], [[bytes(32)], [bytes(32)], [b"x" * 32]]))
    load_tree(dump)
    dump["values"][1]["treeIndex"] = dump["values"][0]["treeIndex"]
    with pytest.raises(TreeError, match="not a leaf of its own"):
        load_tree(dump)


def test_payout_trees_refuse_what_the_contract_could_not_pay() -> None:
    with pytest.raises(EncodingError, match="two leaves"):
        payout_tree([account(1), account(2), account(1)], [1, 2, 3])
    with pytest.raises(EncodingError, match="96 bits"):
        payout_tree([account(1)], [2**96])
    with pytest.raises(EncodingError, match="natural number"):
        payout_tree([account(1)], [-1])
    with pytest.raises(EncodingError, match="natural number"):
        payout_tree([account(1)], [True])
    with pytest.raises(EncodingError, match="20 bytes"):
        payout_tree([Address(bytes(19))], [1])
    with pytest.raises(EncodingError, match="1 accounts for 2 amounts"):
        payout_tree([account(1)], [1, 2])


def test_payout_trees_do_not_depend_on_the_order_of_accounts() -> None:
    accounts, amounts = [account(i) for i in range(6)], [5, 4, 3, 2, 1, 0]
    assert payout_tree(accounts, amounts).to_bytes() == payout_tree(accounts[::-1], amounts[::-1]).to_bytes()


def damage(change: str) -> dict[str, Any]:
    dump = copy.deepcopy(dump_tree(small_tree(5)))
    match change:
        case "format":
            dump["format"] = "standard-v2"
        case "type":
            dump["leafEncoding"] = ["address", "string"]
        case "inner":
            dump["tree"][1] = "0x" + "11" * 32
        case "short node":
            dump["tree"][1] = "0x11"
        case "missing value":
            del dump["values"][0]
        case "same place":
            dump["values"][0]["treeIndex"] = dump["values"][1]["treeIndex"]
        case "inner place":
            dump["values"][0]["treeIndex"] = 0
        case "negative place":
            dump["values"][0]["treeIndex"] = -1
        case "member":
            dump["values"][0]["value"].append("1")
        case "number":
            dump["values"][0]["value"][1] = 17
        case "no values":
            dump["values"] = None
    return dump


CHANGES = ["format", "type", "inner", "short node", "missing value", "same place", "inner place", "negative place"]


@pytest.mark.parametrize("change", [*CHANGES, "member", "number", "no values"])
def test_a_damaged_dump_is_refused(change: str) -> None:
    with pytest.raises(TreeError):
        load_tree(damage(change))


def test_an_unsorted_tree_is_refused_even_when_its_hashes_fit() -> None:
    leaves = sorted(leaf_hash(bytes([i]) * 32) for i in range(2))  # ascending: the wrong way round
    rows = {leaf_hash(bytes([i]) * 32): "0x" + bytes([i]).hex() * 32 for i in range(2)}
    dump = {
        "format": "standard-v1",
        "leafEncoding": ["bytes32"],
        "tree": ["0x" + node.hex() for node in (hash_pair(*leaves), *leaves)],
        "values": [{"value": [rows[leaf]], "treeIndex": 1 + i} for i, leaf in enumerate(leaves)],
    }
    with pytest.raises(TreeError, match="not sorted"):
        load_tree(dump)
