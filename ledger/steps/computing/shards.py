"""Cutting an epoch's registrations into shards by the first bits of their uids, so that many can work on them at once.

How many there are changes nothing but the time it takes: what is made of them is put together again before it is used.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.evidence.storage.verified_registrations import FORMAT
from ledger.model.units import Hash32

SHARD_ITEMS: Final = 4096
"""About so many registrations a shard: half a second of work."""
_PREFIX_BITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Some of an epoch's registrations."""

    number: int
    shards: int
    uids: tuple[Hash32, ...]

    @property
    def inputs(self) -> Hash32:
        """What a part made of it is known by."""
        return Hash32(hashlib.sha256(FORMAT + b"".join(self.uids)).digest())


def shards_of(uids: Sequence[Hash32], *, most_items: int = SHARD_ITEMS) -> list[Shard]:
    """All shards, none left out, each with its uids ascending; a power of two of them, up to 65,536."""
    bits = min(_PREFIX_BITS, max(0, (len(uids) - 1) // most_items).bit_length())
    cut: list[list[Hash32]] = [[] for _ in range(1 << bits)]
    for uid in sorted(uids):
        cut[int.from_bytes(uid[:2], "big") >> (_PREFIX_BITS - bits)].append(uid)
    return [Shard(number=number, shards=len(cut), uids=tuple(each)) for number, each in enumerate(cut)]
