"""Our trees and the npm package's are the same trees: roots, layout, proofs, dumps, both ways."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ledger.model.units import Address, to_hex
from ledger.tree.exchange import dump_tree, load_tree
from ledger.tree.keccak import keccak256
from ledger.tree.payout import payout_tree
from ledger.tree.standard import StandardTree, TreeError, leaf_hash, verify_proof

HERE = Path(__file__).parent
CONTRACTS = HERE.parents[1] / "contracts"


def ask_npm(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    node = shutil.which("node")
    if node is None or not (CONTRACTS / "node_modules/@openzeppelin/merkle-tree").is_dir():
        pytest.skip("needs node and contracts/node_modules: npm ci in contracts/")
    run = subprocess.run(
        [node, str(HERE / "standard_peer.mjs")],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answers: list[dict[str, Any]] = json.loads(run.stdout)
    return answers


def digest(*parts: object) -> bytes:
    return keccak256(repr(parts).encode())


def sample_trees() -> list[tuple[list[str], list[list[Any]]]]:
    trees: list[tuple[list[str], list[list[Any]]]] = []
    for count in range(1, 21):
        payouts = [[digest(count, i)[:20], int.from_bytes(digest("w", i)[:11], "big")] for i in range(count)]
        trees.append((["address", "uint256"], payouts))
        trees.append((["bytes32"], [[digest("d", count, i)] for i in range(count)]))
    mixed_types = ["uint64", "bool", "bytes2", "int128", "address", "bytes32", "uint8"]
    mixed = [[2**64 - 1 - i, i % 2 == 0, b"NO", -i, digest("a", i)[:20], digest("b", i), i] for i in range(7)]
    trees.append((mixed_types, mixed))
    trees.append((["bytes32"], [[digest("same")]] * 5 + [[digest("other")]] * 2 + [[digest("same")]]))
    return trees


def as_npm(row: list[Any]) -> list[Any]:
    return [item if isinstance(item, bool) else str(item) if isinstance(item, int) else to_hex(item) for item in row]


def test_trees_of_both_libraries_are_equal_node_by_node() -> None:
    samples = sample_trees()
    answers = ask_npm([{"leafEncoding": types, "values": [as_npm(row) for row in rows]} for types, rows in samples])
    for (types, rows), answer in zip(samples, answers, strict=True):
        ours = StandardTree.of(types, rows)
        assert to_hex(ours.root) == answer["root"]
        assert dump_tree(ours) == answer["dump"]
        assert [[to_hex(node) for node in ours.proof_at(i)] for i in range(len(ours))] == answer["proofs"]


def test_a_dump_of_ours_loads_and_validates_there() -> None:
    trees = [StandardTree.of(types, rows) for types, rows in sample_trees()]
    answers = ask_npm([{"dump": dump_tree(tree)} for tree in trees])
    assert [answer.get("error") for answer in answers] == [None] * len(trees)
    assert [answer["root"] for answer in answers] == [to_hex(tree.root) for tree in trees]


def test_a_dump_of_theirs_loads_here() -> None:
    samples = sample_trees()
    answers = ask_npm([{"leafEncoding": types, "values": [as_npm(row) for row in rows]} for types, rows in samples])
    for (types, rows), answer in zip(samples, answers, strict=True):
        theirs = load_tree(answer["dump"])
        assert to_hex(theirs.root) == answer["root"]
        assert theirs.leaf_encoding == tuple(types)
        assert [list(theirs.value_at(i)) for i in range(len(theirs))] == rows


def test_a_damaged_dump_is_refused_by_both() -> None:
    dump = dump_tree(payout_tree([Address(digest(i)[:20]) for i in range(5)], [10**18 + i for i in range(5)]))
    dump["values"][2]["value"][1] = str(10**18 + 99)
    (answer,) = ask_npm([{"dump": dump}])
    assert "expected value" in answer["error"]
    with pytest.raises(TreeError, match="not the hash of value 2"):
        load_tree(dump)


def test_their_proofs_verify_here() -> None:
    rows = [[digest(i)[:20], 10**20 + i] for i in range(11)]
    (answer,) = ask_npm([{"leafEncoding": ["address", "uint256"], "values": [as_npm(row) for row in rows]}])
    tree = StandardTree.of(["address", "uint256"], rows)
    for index, proof in enumerate(answer["proofs"]):
        nodes = [bytes.fromhex(node[2:]) for node in proof]
        assert verify_proof(tree.root, leaf_hash(tree.encoded_at(index)), nodes)


def test_the_published_payout_vector_loads_there() -> None:
    document = json.loads((HERE.parent / "vectors/encodings.json").read_text(encoding="utf-8"))
    (vector,) = (entry for entry in document["vectors"]["trees"] if entry["rule"] == "E2.9")
    (answer,) = ask_npm([{"dump": vector["expected"]["dump"]}])
    assert answer["root"] == vector["expected"]["root"]
