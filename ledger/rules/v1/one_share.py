"""What one weight of many gets in the split of R4.17, to the wei, without splitting among all: `split` for one place.

Largest remainders: a place gets its floor, and one wei more if fewer places than there are wei left over stand before
it, by remainder, then by place. How many do is counted on the first 64 binary digits of every remainder's fraction;
where those do not decide, on the whole remainder. So the answer is exact, and it is found in a few passes over
machine words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.model.errors import InvariantError
from ledger.rules.v1.remainder import split

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Words = npt.NDArray[np.uint64]

_FEW: Final = 4096
"""Up to so many weights a plain split is as fast."""
_AT_ONCE: Final = 2**15
"""Weights looked at together, so that what is worked on stays in the processor's own memory."""
_MAX_WEIGHT: Final = 2**63
_MAX_PLACES: Final = 2**26
"""With more, the errors of the fractions could add up to half a wei."""
_ONE: Final = 2**64
"""A whole wei, where fractions are counted in its 2⁻⁶⁴."""
_ERROR: Final = 2**34
"""A fraction's first digits are at most this much too small: 2³³ for the cross terms left out, 2 for two floors."""


class Weights:
    """All weights of an epoch in the order of its statements; what one of them would get is asked again and again."""

    def __init__(self, weights: Sequence[int], *, few: int = _FEW) -> None:
        self._weights = weights
        self.total = sum(weights)
        is_wide = len(weights) > _MAX_PLACES or max(weights, default=0) >= _MAX_WEIGHT
        self._split: tuple[int, list[int]] | None = None
        self._groups = None if len(weights) <= few or is_wide else _Groups.of(weights)

    def __len__(self) -> int:
        return len(self._weights)

    def share(self, place: int, weight: int, amount: int) -> int:
        """What `split` gives this place if its weight is `weight` and all others are as they are."""
        if weight == self._weights[place]:
            return self.split_as_they_are(amount)[place]
        total = self.total - self._weights[place] + weight
        if not total:
            return 0
        if self._groups is None or weight >= _MAX_WEIGHT:
            others = list(self._weights)
            others[place] = weight
            return split(amount, others)[0][place]
        floor, remainder = divmod(amount * weight, total)
        # an exact share never gets a wei more: there are fewer wei left over than remainders above zero
        return floor + (remainder > 0 and self._is_rounded_up(place, remainder, amount, total))

    def split_as_they_are(self, amount: int) -> list[int]:
        """Everybody's share with every weight as it is: split once, and asked for every node of an epoch."""
        known = self._split
        if known is None or known[0] != amount:
            known = self._split = (amount, split(amount, self._weights)[0])
        return known[1]

    def _is_rounded_up(self, place: int, remainder: int, amount: int, total: int) -> bool:
        assert self._groups is not None
        ahead, fractions = self._groups.standing(place, remainder, amount, total)
        own = amount * self._weights[place] % total  # what the place has now is not in this split
        ahead -= own > remainder
        fractions += (remainder - own) * _ONE // total
        left_over, off = divmod(fractions + _ONE // 2, _ONE)
        if abs(off - _ONE // 2) > _ONE // 4:
            raise InvariantError(f"the remainders of a split among {len(self)} do not sum to whole wei")
        return ahead < left_over


@dataclass(frozen=True, slots=True)
class _Groups:
    """The weights as machine words, equal ones once: `values`, `counts`, their places `order[start:]`."""

    values: "Words"
    """Those of one place first, for which nothing need be multiplied by a count."""
    upper: "Words"
    """The values' upper 32 bits."""
    counts: "npt.NDArray[np.int64]"
    single: int
    """How many values belong to one place."""
    starts: "npt.NDArray[np.int64]"
    order: "npt.NDArray[np.int64]"

    @classmethod
    def of(cls, weights: Sequence[int]) -> "_Groups":
        import numpy as np  # who explains a few nodes need not load it

        words = np.asarray(weights, dtype=np.uint64)
        order = np.argsort(words, kind="stable")
        values, starts, counts = np.unique(words[order], return_index=True, return_counts=True)
        single_first = np.argsort(counts > 1, kind="stable")
        values, starts, counts = values[single_first], starts[single_first], counts[single_first]
        return cls(values, values >> np.uint64(32), counts, int(np.count_nonzero(counts == 1)), starts, order)

    def standing(self, place: int, remainder: int, amount: int, total: int) -> tuple[int, int]:
        """How many of amount·weight % total stand before this remainder at this place, and the sum of all fractions.

        The sum is in 2⁻⁶⁴ wei, and but for whole wei (see below) too small by less than a quarter of one.
        """
        # weight·step is the share in 2⁻¹²⁸ wei; its whole wei wrap away
        step = (amount % total << 128) // total
        asked = remainder * _ONE // total
        digits_of = _FirstDigits(step, asked)
        ahead = digits = 0
        for some in (*_runs(0, self.single), *_runs(self.single, len(self.values))):
            counts = None if some.stop <= self.single else self.counts[some]
            surely, part, is_open = digits_of.some(self.values[some], self.upper[some], counts)
            ahead, digits = ahead + surely, digits + part
            for at in is_open:
                count = int(self.counts[some.start + at])
                exact = amount * int(self.values[some.start + at]) % total
                digits += exact * _ONE // total * count
                if exact > remainder:
                    ahead += count
                elif exact == remainder:
                    ahead += self._places_before(some.start + at, place)
        return ahead, digits

    def _places_before(self, at: int, place: int) -> int:
        """How many places with a weight come before this place."""
        start = self.starts[at]
        return int(self.order[start : start + self.counts[at]].searchsorted(place))


def _runs(first: int, end: int) -> Iterator[slice]:
    for start in range(first, end, _AT_ONCE):
        yield slice(start, min(start + _AT_ONCE, end))


class _FirstDigits:
    """What the first 64 digits of fractions tell next to the one asked about, some of them after the other."""

    def __init__(self, step: int, asked: int) -> None:
        import numpy as np

        word, last = np.uint64, _ONE - 1
        self._steps = word(step >> 64), word((step & last) >> 32)
        # digits do not decide next to the remainder asked about. One just above 0 may look just below 1: it then
        # counts once too often both among those ahead and among the wei left over, which changes nothing
        self._low, self._high = word(max(0, asked - _ERROR)), word(min(asked + 1, last))
        # written over again and again: memory asked for anew costs more than what is reckoned in it
        self._fractions, self._terms = np.empty((2, _AT_ONCE), np.uint64)
        self._is_ahead, self._is_near = np.empty((2, _AT_ONCE), np.bool_)

    def some(
        self, values: "Words", upper: "Words", counts: "npt.NDArray[np.int64] | None"
    ) -> tuple[int, int, list[int]]:
        """How many of some weights' fractions are surely ahead, the sum of all they decide about, and which are open.

        `counts` says how often each weight occurs; None for once.
        """
        import numpy as np

        size = len(values)
        fractions, is_ahead, is_near = self._fractions[:size], self._is_ahead[:size], self._is_near[:size]
        np.multiply(values, self._steps[0], out=fractions)
        fractions += np.multiply(upper, self._steps[1], out=self._terms[:size])
        np.greater(fractions, self._high, out=is_ahead)
        np.greater_equal(fractions, self._low, out=is_near)
        opened: list[int] = []
        if np.count_nonzero(is_near) != np.count_nonzero(is_ahead):
            opened = (is_near ^ is_ahead).nonzero()[0].tolist()
        fractions >>= np.uint64(32)
        digits = fractions.view(np.int64)
        if counts is None:
            surely, known = int(np.count_nonzero(is_ahead)), int(digits.sum())
        else:
            surely, known = int(is_ahead.dot(counts)), int(digits.dot(counts))
        known -= sum(int(digits[at]) * (1 if counts is None else int(counts[at])) for at in opened)
        return surely, known << 32, opened
