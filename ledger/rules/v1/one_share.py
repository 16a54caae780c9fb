"""What one weight of many gets in the split of R4.17, to the wei, without splitting among all: `split` for one place.

Largest remainders: a place gets its floor, and one wei more if fewer places than there are wei left over stand before
it, by remainder, then by place. How many do is counted on the first 64 binary digits of every remainder's fraction;
where those do not decide, on the whole remainder. So the answer is exact, and it is found in a few passes over
machine words.
"""

from collections.abc import Sequence
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
_AT_ONCE: Final = 2**14
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
    """The weights as machine words, equal ones once: `values` ascending, `counts`, their places `order[start:]`."""

    values: "Words"
    upper: "Words"
    """The values' upper 32 bits."""
    counts: "npt.NDArray[np.int64]"
    are_single: bool
    """Whether no two weights are equal."""
    starts: "npt.NDArray[np.int64]"
    order: "npt.NDArray[np.int64]"

    @classmethod
    def of(cls, weights: Sequence[int]) -> "_Groups":
        import numpy as np  # who explains a few nodes need not load it

        words = np.asarray(weights, dtype=np.uint64)
        order = np.argsort(words, kind="stable")
        values, starts, counts = np.unique(words[order], return_index=True, return_counts=True)
        return cls(values, values >> np.uint64(32), counts, bool((counts == 1).all()), starts, order)

    def standing(self, place: int, remainder: int, amount: int, total: int) -> tuple[int, int]:
        """How many of amount·weight % total stand before this remainder at this place, and the sum of all fractions.

        The sum is in 2⁻⁶⁴ wei, and but for whole wei (see below) too small by less than a quarter of one.
        """
        # weight·step is the share in 2⁻¹²⁸ wei; its whole wei wrap away
        step = (amount % total << 128) // total
        asked = remainder * _ONE // total
        ahead = digits = 0
        for first in range(0, len(self.values), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            surely, part, is_open = self._first_digits(some, step, asked)
            ahead, digits = ahead + surely, digits + part
            for at in is_open:
                count = int(self.counts[first + at])
                exact = amount * int(self.values[first + at]) % total
                digits += exact * _ONE // total * count
                if exact > remainder:
                    ahead += count
                elif exact == remainder:
                    ahead += self._places_before(first + at, place)
        return ahead, digits

    def _first_digits(self, some: slice, step: int, asked: int) -> tuple[int, int, list[int]]:
        """What the first digits of some fractions tell: how many are surely ahead of the one asked about, the sum of
        all they decide about, and which are open.
        """
        import numpy as np

        word, last = np.uint64, _ONE - 1
        fractions = self.values[some] * word(step >> 64)
        fractions += self.upper[some] * word((step & last) >> 32)
        low, high = max(0, asked - _ERROR), min(asked + 1, last)
        # digits do not decide next to the remainder asked about. One just above 0 may look just below 1: it then
        # counts once too often both among those ahead and among the wei left over, which changes nothing
        is_open = fractions - word(low) <= word(high - low)
        is_ahead = fractions > word(high)
        fractions >>= word(32)
        upper = fractions.view(np.int64)
        opened = is_open.nonzero()[0].tolist()
        if self.are_single:
            surely, digits, counts = int(np.count_nonzero(is_ahead)), int(upper.sum()), None
        else:
            counts = self.counts[some]
            surely, digits = int(is_ahead.dot(counts)), int(upper.dot(counts))
        digits -= sum(int(upper[at]) * (1 if counts is None else int(counts[at])) for at in opened)
        return surely, digits << 32, opened

    def _places_before(self, at: int, place: int) -> int:
        """How many places with a weight come before this place."""
        start = self.starts[at]
        return int(self.order[start : start + self.counts[at]].searchsorted(place))
