"""Lays records with hourly arrays out as dense arrays [slot, owner, hour].

An owner is a node or a zone; its verifiers take slots 0, 1, … in ascending order. A verifier's records that
overlap are identical where they do (R3.10), so writing an hour twice changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ledger.model.errors import InvariantError
from ledger.model.units import SECONDS_PER_HOUR

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Placement:
    """Records of consecutive owners, each with its slot; `owner` counts from 0."""

    records: pl.DataFrame
    owner: Ints
    slot: Ints
    first_hour: Ints
    length: Ints
    owners: int
    hours: int

    @property
    def slots(self) -> int:
        """The most verifiers any owner has."""
        return int(self.slot.max()) + 1 if len(self.slot) else 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slots, owners, hours)."""
        return self.slots, self.owners, self.hours

    def spread_array(self, column: str, width: int) -> Words:
        """An hourly array of big-endian integers of `width` bytes; 0 where there is no record."""
        out = np.zeros((self.slots * self.owners, self.hours), dtype=np.uint64)
        values = self.records[column]
        sizes = values.bin.size().to_numpy()
        if not np.array_equal(sizes, self.length * width):
            raise InvariantError(f"a record's {column} is not {width} bytes an hour long")
        for rows, length in self._equally_long():
            some = values if len(rows) == len(values) else values.gather(rows)
            numbers = np.frombuffer(b"".join(some.to_list()), dtype=f">u{width}").reshape(len(rows), length)
            self._write(out, rows, length, numbers)
        return out.reshape(self.shape)

    def spread_value(self, per_record: Ints) -> Ints:
        """One value of each record, in every hour it covers; 0 where there is no record."""
        out = np.zeros((self.slots * self.owners, self.hours), dtype=np.int64)
        for rows, length in self._equally_long():
            self._write(out, rows, length, per_record[rows, None])
        return out.reshape(self.shape)

    def spread_flag(self, per_record: Flags) -> Flags:
        """A flag of each record, in every hour it covers; unset where there is no record."""
        out = np.zeros((self.slots * self.owners, self.hours), dtype=np.bool_)
        for rows, length in self._equally_long():
            self._write(out, rows, length, per_record[rows, None])
        return out.reshape(self.shape)

    def covered(self) -> Flags:
        """Whether the slot's verifier has a record for the hour."""
        return self.spread_flag(np.ones(len(self.owner), dtype=np.bool_))

    def per_slot(self, per_record: Flags) -> Flags:
        """[slot, owner]: whether any of the verifier's records has the flag."""
        out = np.zeros(self.slots * self.owners, dtype=np.bool_)
        out[self._line()[per_record]] = True
        return out.reshape(self.slots, self.owners)

    def verifiers(self) -> dict[tuple[int, int], bytes]:
        """The verifier in each (slot, owner) taken."""
        names = self.records["verifier"].to_list()
        return dict(zip(zip(self.slot.tolist(), self.owner.tolist(), strict=True), names, strict=True))

    def _line(self) -> Ints:
        return self.slot * self.owners + self.owner

    def _equally_long(self) -> Iterator[tuple[Ints, int]]:
        for length in np.unique(self.length).tolist():
            yield np.flatnonzero(self.length == length), length

    def _write(self, out: Ints | Flags | Words, rows: Ints, length: int, numbers: NDArray[np.generic]) -> None:
        lines = self._line()[rows]
        if length == self.hours:
            out[lines] = numbers
        else:
            out[lines[:, None], self.first_hour[rows, None] + np.arange(length)] = numbers


def any_slot(flags: Flags) -> Flags:
    """Whether a flag [slot, owner, hour] is set for any verifier."""
    found: Flags = np.logical_or.reduce(flags, axis=0)
    return found


class Records:
    """All records of one schema, numbered and slotted once, cut into runs of owners as they are scored."""

    def __init__(self, records: pl.DataFrame, owners: pl.DataFrame, *, key: str, window_start: int, hours: int) -> None:
        """`owners` has the column `key`, ascending and without repetition; records of others are left out."""
        numbered = owners.select(key).with_row_index("owner")
        found = records.join(numbered, on=key, how="inner", maintain_order="left")
        if not _in_order(found):
            found = found.sort("owner", "verifier", "window_start")
        self._records = found
        self._owner = found["owner"].to_numpy().astype(np.int64)
        self._slot = _slots(found, self._owner)
        offset = found["window_start"].to_numpy() - window_start
        self._first_hour = offset // SECONDS_PER_HOUR
        self._length = found["hours"].to_numpy().astype(np.int64)
        self._hours = hours
        inside = (self._first_hour >= 0) & (self._length > 0) & (self._first_hour + self._length <= hours)
        if not (inside & (offset % SECONDS_PER_HOUR == 0)).all():
            raise InvariantError(f"an accepted record by {key} leaves the epoch's hours")

    def run(self, first: int, last: int) -> Placement:
        """The records of owners first … last − 1."""
        low, high = np.searchsorted(self._owner, [first, last]).tolist()
        return Placement(
            records=self._records.slice(low, high - low),
            owner=self._owner[low:high] - first,
            slot=self._slot[low:high],
            first_hour=self._first_hour[low:high],
            length=self._length[low:high],
            owners=last - first,
            hours=self._hours,
        )


def _in_order(found: pl.DataFrame) -> bool:
    owner, verifier = pl.col("owner"), pl.col("verifier")
    rises = (owner > owner.shift()) | ((owner == owner.shift()) & (verifier >= verifier.shift()))
    return bool(found.select(rises.slice(1).all()).item())


def _slots(found: pl.DataFrame, owner: Ints) -> Ints:
    if not len(owner):
        return np.zeros(0, dtype=np.int64)
    verifier = pl.col("verifier")
    other = found.select((verifier != verifier.shift()).fill_null(value=True)).to_series().to_numpy()
    new_owner = np.append(True, owner[1:] != owner[:-1])
    count = np.cumsum(other | new_owner)
    before = np.maximum.accumulate(np.where(new_owner, count, 0))
    return (count - before).astype(np.int64)
