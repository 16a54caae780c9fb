"""Repeatable choices: integers drawn from keccak of a seed and labels. The same labels, the same draws."""

from collections.abc import Sequence
from typing import TypeVar

from ledger.model.units import Hash32
from ledger.tree.keccak import keccak256

Item = TypeVar("Item")


def labelled(seed: bytes, *labels: int | str) -> Hash32:
    """A hash for one purpose: ids, keys, the start of a stream."""
    return keccak256(seed + "/".join(str(label) for label in labels).encode("utf-8"))


class Stream:
    """A sequence of draws for one purpose. Not for secrets, and the modulo's bias does not matter here."""

    __slots__ = ("_block", "_count", "_origin")

    def __init__(self, seed: bytes, *labels: int | str) -> None:
        self._origin = labelled(seed, *labels)
        self._block = 0
        self._count = 0

    def below(self, bound: int) -> int:
        """0 to bound − 1."""
        if self._count == 0:
            self._origin = keccak256(self._origin)
            self._block = int.from_bytes(self._origin, "big")
            self._count = 4
        self._count -= 1
        draw, self._block = self._block & 0xFFFFFFFFFFFFFFFF, self._block >> 64
        return draw % bound

    def between(self, low: int, high: int) -> int:
        """low to high, both included."""
        return low + self.below(high - low + 1)

    def happens(self, permille: int) -> bool:
        """True in so many of a thousand draws."""
        return self.below(1000) < permille

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def weighted(self, weights: Sequence[tuple[Item, int]]) -> Item:
        """One of the items, each as often as its weight says."""
        place = self.below(sum(weight for _, weight in weights))
        for item, weight in weights:
            place -= weight
            if place < 0:
                return item
        raise ValueError("weights are natural numbers")
