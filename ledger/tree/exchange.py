"""The npm package's `standard-v1` dump: ours loads there, theirs loads here and is checked whole."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from ledger.model.units import from_hex, to_hex
from ledger.tree.abi import EncodingError, Scalar, encode_row, word_encoder
from ledger.tree.standard import StandardTree, TreeError

FORMAT = "standard-v1"


def dump_tree(tree: StandardTree) -> dict[str, Any]:
    """The tree as @openzeppelin/merkle-tree writes it; numbers as decimal strings, bytes as lower-case hex.

    An empty tree has a dump too, but the npm package knows no empty trees and refuses it.
    """
    count = len(tree)
    return {
        "format": FORMAT,
        "leafEncoding": list(tree.leaf_encoding),
        "tree": [to_hex(tree.node_at(at)) for at in range(max(0, 2 * count - 1))],
        "values": [
            {"value": [_to_json(item) for item in tree.value_at(index)], "treeIndex": tree.tree_index(index)}
            for index in range(count)
        ],
    }


def load_tree(document: Mapping[str, Any]) -> StandardTree:
    """The tree of a dump, after checking format, value places, order and every hash; TreeError otherwise."""
    if document.get("format") != FORMAT:
        raise TreeError(f"format {document.get('format')!r} is not {FORMAT!r}")
    leaf_encoding = _strings(document, "leafEncoding")
    nodes = [_node(text, at) for at, text in enumerate(_strings(document, "tree"))]
    values = document.get("values")
    if not isinstance(values, list) or len(nodes) != max(0, 2 * len(values) - 1):
        raise TreeError(f"{len(nodes)} nodes do not carry {len(values) if isinstance(values, list) else 'no'} values")
    try:
        encoders = [word_encoder(type_name) for type_name in leaf_encoding]
        rows = []
        for entry in values:
            members = zip(leaf_encoding, entry["value"], strict=True)
            rows.append(encode_row(encoders, [_from_json(type_name, item) for type_name, item in members]))
        positions = struct.pack(f"<{len(values)}I", *(entry["treeIndex"] for entry in values))
    except (KeyError, TypeError, ValueError, struct.error, EncodingError) as error:
        raise TreeError(f"a value of the dump is not of the types {','.join(leaf_encoding)}: {error}") from error
    tree = StandardTree(leaf_encoding, memoryview(b"".join(nodes)), memoryview(positions), memoryview(b"".join(rows)))
    tree.validate()
    return tree


def _strings(document: Mapping[str, Any], key: str) -> Sequence[str]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TreeError(f"{key} of the dump is not a list of texts")
    return value


def _node(text: str, at: int) -> bytes:
    try:
        return from_hex(text, 32)
    except ValueError as error:
        raise TreeError(f"node {at} of the dump is no hash: {error}") from error


def _to_json(value: Scalar) -> str | bool:
    if isinstance(value, bool):
        return value
    return str(value) if isinstance(value, int) else to_hex(value)


def _from_json(type_name: str, value: object) -> Scalar:
    if type_name == "bool":
        return bool(value) if isinstance(value, bool) else b""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    if type_name.startswith(("uint", "int")):
        return int(value, 0)
    return from_hex(value)
