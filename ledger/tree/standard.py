"""OpenZeppelin's `standard-v1` Merkle tree as flat arrays: built once, stored whole, proofs by look-up.

The layout is the npm package's: node 0 is the root, the children of i are 2i+1 and 2i+2, the leaves
fill the end in descending order of their hashes. A tree read from a memory-mapped file costs nothing
to open; a proof touches one node per level. Rules E2.5 to E2.7 of docs/spec/encodings.md.
"""

import mmap
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import sha3

from ledger.model.errors import LedgerError, NotFoundError
from ledger.model.units import ZERO_HASH, Hash32
from ledger.tree.abi import WORD_BYTES, EncodingError, Scalar, decode_word, encode_row, word_encoder

_MAGIC = b"ATHTREE1"
_LENGTHS = struct.Struct("<HQ")
"""Length of the leaf encoding's text, number of leaves."""
_POSITION_BYTES = 4


class TreeError(LedgerError):
    """A Merkle tree is not what it claims to be."""

    code = "tree.invalid"
    exit_code = 4
    default_hint = "rebuild the tree from the epoch's evidence: ath-ledger audit verify"


class LeafNotFoundError(NotFoundError):
    """The tree has no such leaf."""

    code = "tree.leaf-not-found"
    default_hint = "ath-ledger rewards show"


class StandardTree:
    """A `standard-v1` tree over rows of static ABI values, in the order the rows were given.

    `leaf_encoding` names one type per member. The root of an empty tree is the zero hash. Instances
    are immutable; their buffers may be a memory-mapped file.
    """

    __slots__ = ("_count", "_leaf_words", "_nodes", "_positions", "leaf_encoding")

    def __init__(self, leaf_encoding: Sequence[str], nodes: memoryview, positions: memoryview, words: memoryview):
        self.leaf_encoding = tuple(leaf_encoding)
        self._count = len(positions) // _POSITION_BYTES
        self._nodes = nodes
        self._positions = positions
        self._leaf_words = words
        expected_nodes = max(0, 2 * self._count - 1) * WORD_BYTES
        if len(nodes) != expected_nodes or len(words) != self._count * self._row_bytes:
            raise TreeError(f"{self._count} leaves do not fit {len(nodes)} bytes of nodes, {len(words)} of rows")

    @classmethod
    def of(cls, leaf_encoding: Sequence[str], values: Iterable[Sequence[Scalar]]) -> "StandardTree":
        """The tree over the rows; addresses and bytesN as bytes. EncodingError for a value of the wrong type."""
        encoders = [word_encoder(type_name) for type_name in leaf_encoding]
        return cls.of_encoded(leaf_encoding, [encode_row(encoders, row) for row in values])

    @classmethod
    def of_encoded(cls, leaf_encoding: Sequence[str], rows: Sequence[bytes]) -> "StandardTree":
        """The tree over rows that are already ABI words."""
        keccak = sha3.keccak_256
        nodes, positions = _grow([keccak(keccak(row).digest()).digest() for row in rows])
        packed = struct.pack(f"<{len(positions)}I", *positions)
        return cls(leaf_encoding, memoryview(b"".join(nodes)), memoryview(packed), memoryview(b"".join(rows)))

    def __len__(self) -> int:
        return self._count

    @property
    def _row_bytes(self) -> int:
        return len(self.leaf_encoding) * WORD_BYTES

    @property
    def root(self) -> Hash32:
        """Node 0, or the zero hash of an empty tree."""
        return self.node_at(0) if self._count else ZERO_HASH

    @property
    def depth(self) -> int:
        """The longest proof's length."""
        return (self._count - 1).bit_length() if self._count else 0

    def encoded_at(self, index: int) -> bytes:
        """The ABI words of the row at this place in the given order."""
        self._check_index(index)
        return bytes(self._leaf_words[index * self._row_bytes : (index + 1) * self._row_bytes])

    def value_at(self, index: int) -> tuple[Scalar, ...]:
        """The row at this place in the given order."""
        row = self.encoded_at(index)
        words = (row[at : at + WORD_BYTES] for at in range(0, len(row), WORD_BYTES))
        return tuple(decode_word(type_name, word) for type_name, word in zip(self.leaf_encoding, words, strict=True))

    def tree_index(self, index: int) -> int:
        """The node that holds the leaf of the row at this place; what the npm package calls treeIndex."""
        self._check_index(index)
        at = index * _POSITION_BYTES
        return int.from_bytes(self._positions[at : at + _POSITION_BYTES], "little")

    def proof_at(self, index: int) -> list[Hash32]:
        """The proof of the row at this place, leaf's sibling first."""
        return self._proof(self.tree_index(index))

    def proof_of(self, value: Sequence[Scalar]) -> list[Hash32]:
        """The proof of a row by its content, found by binary search; LeafNotFoundError when it is not there."""
        row = encode_row([word_encoder(type_name) for type_name in self.leaf_encoding], value)
        wanted, first, beyond = leaf_hash(row), self._count - 1, 2 * self._count - 1
        while first < beyond:
            middle = (first + beyond) // 2
            if self.node_at(middle) > wanted:
                first = middle + 1
            else:
                beyond = middle
        if not self._count or first == 2 * self._count - 1 or self.node_at(first) != wanted:
            raise LeafNotFoundError(f"no leaf of this tree has the hash 0x{wanted.hex()}")
        return self._proof(first)

    def validate(self) -> None:
        """Recompute everything: each leaf from its row, the order, each inner node. TreeError on a difference."""
        leaves = [leaf_hash(self.encoded_at(index)) for index in range(self._count)]
        taken = bytearray(max(0, 2 * self._count - 1))
        for index, expected in enumerate(leaves):
            at = self.tree_index(index)
            if not self._count - 1 <= at < 2 * self._count - 1 or taken[at]:
                raise TreeError(f"value {index} stands at node {at}, which is not a leaf of its own")
            taken[at] = 1
            if self.node_at(at) != expected:
                raise TreeError(f"node {at} is not the hash of value {index}")
        for at in range(self._count - 1):
            if self.node_at(at) != hash_pair(self.node_at(2 * at + 1), self.node_at(2 * at + 2)):
                raise TreeError(f"node {at} is not the hash of its children")
        for upper, lower in pairwise(range(self._count - 1, 2 * self._count - 1)):
            if self.node_at(upper) < self.node_at(lower):
                raise TreeError(f"the leaves at nodes {upper} and {lower} are not sorted by hash")

    def to_bytes(self) -> bytes:
        """The whole tree in one piece: magic, lengths, leaf types, nodes, positions (u32), rows."""
        types = ",".join(self.leaf_encoding).encode("ascii")
        header = _MAGIC + _LENGTHS.pack(len(types), self._count) + types
        return b"".join((header, self._nodes, self._positions, self._leaf_words))

    @classmethod
    def from_bytes(cls, data: bytes | memoryview | mmap.mmap) -> "StandardTree":
        """The tree in a buffer, without copying or recomputing it (`validate` does that).

        Raises TreeError when magic or lengths are wrong.
        """
        view = memoryview(data)
        start = len(_MAGIC) + _LENGTHS.size
        if len(view) < start or view[: len(_MAGIC)] != _MAGIC:
            raise TreeError("this is no stored tree: wrong first bytes")
        type_length, count = _LENGTHS.unpack(view[len(_MAGIC) : start])
        leaf_encoding = bytes(view[start : start + type_length]).decode("ascii", "replace").split(",")
        nodes = start + type_length
        positions = nodes + max(0, 2 * count - 1) * WORD_BYTES
        words = positions + count * _POSITION_BYTES
        if len(view) != words + count * len(leaf_encoding) * WORD_BYTES:
            raise TreeError(f"a stored tree of {count} leaves does not have {len(view)} bytes: cut off or grown")
        try:
            for type_name in leaf_encoding:
                word_encoder(type_name)
        except EncodingError as error:
            raise TreeError(f"a stored tree has leaf types that do not exist: {error.what}") from error
        return cls(leaf_encoding, view[nodes:positions], view[positions:words], view[words:])

    @classmethod
    def open(cls, path: Path) -> "StandardTree":
        """The tree in a file, memory-mapped: nothing is read before a proof asks for it."""
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise TreeError(f"{path} is empty, not a stored tree")
            return cls.from_bytes(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def _proof(self, tree_index: int) -> list[Hash32]:
        proof = []
        while tree_index > 0:
            proof.append(self.node_at(tree_index + 1 if tree_index % 2 else tree_index - 1))
            tree_index = (tree_index - 1) // 2
        return proof

    def node_at(self, at: int) -> Hash32:
        """One node of the flat tree."""
        return Hash32(bytes(self._nodes[at * WORD_BYTES : (at + 1) * WORD_BYTES]))

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self._count:
            raise LeafNotFoundError(f"the tree has {self._count} values, none at {index}")


def leaf_hash(encoded: bytes) -> Hash32:
    """A leaf: the double hash of a row's ABI words, so that no inner node can pass for a leaf."""
    keccak = sha3.keccak_256
    return Hash32(keccak(keccak(encoded).digest()).digest())


def hash_pair(left: bytes, right: bytes) -> Hash32:
    """An inner node: the hash of both children, the smaller first."""
    return Hash32(sha3.keccak_256(left + right if left < right else right + left).digest())


def verify_proof(root: Hash32, leaf: Hash32, proof: Iterable[bytes]) -> bool:
    """Whether the proof leads from the leaf hash to the root; never true for an empty tree's zero root."""
    node: bytes = leaf
    for sibling in proof:
        # 31 and 33 bytes would join to the same 64 as 32 and 32: a forged leaf
        if len(node) != WORD_BYTES or len(sibling) != WORD_BYTES:
            return False
        node = hash_pair(node, sibling)
    return node == root and root != ZERO_HASH


def root_of_digests(digests: Iterable[bytes]) -> Hash32:
    """The root over 32-byte digests (leaf type bytes32), in any order; the zero hash for none.

    Evidence, registration and record roots are of this form (E2.7, E3.3, E5.1, E5.2).
    """
    leaves = []
    for digest in digests:
        if len(digest) != WORD_BYTES:
            raise TreeError(f"a digest has 32 bytes, got {len(digest)}")
        leaves.append(leaf_hash(digest))
    leaves.sort(reverse=True)
    return Hash32(_inner_nodes(leaves)[0]) if leaves else ZERO_HASH


def _grow(hashes: list[bytes]) -> tuple[Sequence[bytes], list[int]]:
    """All nodes, and for each leaf in the given order the node it stands at.

    The sort is stable, so equal leaves take the same places as in the npm package.
    """
    count = len(hashes)
    ascending = sorted(range(count), key=hashes.__getitem__)
    positions = [0] * count
    for rank, index in enumerate(ascending):
        positions[index] = 2 * count - 2 - rank
    return _inner_nodes([hashes[index] for index in reversed(ascending)]) if count else [], positions


def _inner_nodes(leaves: Sequence[bytes]) -> list[bytes]:
    """The flat tree over leaves that already stand in node order."""
    keccak = sha3.keccak_256
    count = len(leaves)
    nodes = [b""] * (count - 1) + list(leaves)
    right_at = 2 * count - 2
    for at in range(count - 2, -1, -1):
        left, right = nodes[right_at - 1], nodes[right_at]
        nodes[at] = keccak(left + right if left < right else right + left).digest()
        right_at -= 2
    return nodes
