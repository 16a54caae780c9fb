"""How unequally payouts are spread: exact ratios of integers, in ppm, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.model.units import Ppm

_PPM = 10**6
_TOP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Concentration:
    """Of payouts over operators; all zero while nothing is paid."""

    gini_ppm: Ppm
    """0: everybody gets the same; towards 10⁶: one gets everything. Floored."""
    largest_ppm: Ppm
    """The largest operator's share."""
    top_ten_ppm: Ppm
    """The share of the ten largest together."""


def concentration(amounts_wei: Sequence[int]) -> Concentration:
    """Gini coefficient and shares of the largest; amounts are not negative, operators without payout count."""
    ascending, total = sorted(amounts_wei), sum(amounts_wei)
    if not total:
        return Concentration(gini_ppm=Ppm(0), largest_ppm=Ppm(0), top_ten_ppm=Ppm(0))
    count = len(ascending)
    weighed = sum(rank * amount for rank, amount in enumerate(ascending, start=1))
    return Concentration(
        gini_ppm=Ppm((2 * weighed - (count + 1) * total) * _PPM // (count * total)),
        largest_ppm=Ppm(ascending[-1] * _PPM // total),
        top_ten_ppm=Ppm(sum(ascending[-_TOP:]) * _PPM // total),
    )
