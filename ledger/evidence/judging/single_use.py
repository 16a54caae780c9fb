"""Single use: a Wh id of one issuance is credited once, ever (R2.23).

All ranges are cut at all ends at once, so that every piece is either inside or outside of each range;
counting the ranges over each piece says which Wh are fresh, used in an earlier epoch, or claimed twice.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ledger.evidence.judging.used_ranges import RANGE_COLUMNS

Integers = npt.NDArray[np.int64]
_ISSUANCE = ["registry_id", "issuance_id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeSplit:
    """Per claim, in the frame's order: Wh nobody else claims, Wh used earlier, Wh claimed twice; they sum to it."""

    fresh_wh: Integers
    used_wh: Integers
    collided_wh: Integers
    fresh_ranges: pl.DataFrame
    """`RANGE_COLUMNS`: the fresh Wh ids of all claims together."""
    claimed_once_wh: Integers
    """Per group of claims: the distinct Wh ids claimed in it that no earlier epoch used."""


def split_ranges(claims: pl.DataFrame, used: pl.DataFrame, apart: str | None = None) -> RangeSplit:
    """Split the claims' ranges (`RANGE_COLUMNS`) against each other and against used ranges.

    `apart` names a further column, of 0, 1, 2…: only claims that agree in it meet, and `claimed_once_wh`
    has a number for each of its values up to the last that has any.
    """
    cell_key = [*_ISSUANCE, apart] if apart else _ISSUANCE
    keys = claims.select(cell_key).unique().sort(cell_key).with_row_index("cell")
    cell = claims.select(cell_key).join(keys, on=cell_key, how="left", maintain_order="left")["cell"]
    old = keys.join(used, on=_ISSUANCE, how="inner", maintain_order="left")
    count, old_count = claims.height, old.height
    cells = np.concatenate([cell.to_numpy().astype(np.int64), old["cell"].to_numpy().astype(np.int64)])
    starts = np.concatenate([claims["range_start"].to_numpy(), old["range_start"].to_numpy()])
    ends = np.concatenate([claims["range_end"].to_numpy(), old["range_end"].to_numpy()]) + 1
    piece_cells, piece_starts, places = _cut(np.concatenate([cells, cells]), np.concatenate([starts, ends]))
    first, beyond = places[: count + old_count], places[count + old_count :]
    claimed = _covering(first[:count], beyond[:count], len(piece_starts))
    taken = _covering(first[count:], beyond[count:], len(piece_starts)) > 0
    lengths = np.diff(piece_starts, append=piece_starts[-1:])
    lengths[claimed == 0] = 0
    parts = [
        _between(np.where(kind, lengths, 0), first[:count], beyond[:count])
        for kind in ((claimed == 1) & ~taken, taken, (claimed > 1) & ~taken)
    ]
    fresh = np.flatnonzero((claimed == 1) & ~taken)
    issuances = keys.select(_ISSUANCE)[piece_cells[fresh]]
    begin = piece_starts[fresh]
    ranges = issuances.with_columns(
        pl.Series("range_start", begin), pl.Series("range_end", begin + lengths[fresh] - 1)
    ).select(list(RANGE_COLUMNS))
    unused = np.flatnonzero((claimed > 0) & ~taken)
    groups = (keys[apart].to_numpy() if apart else np.arange(keys.height))[piece_cells[unused]]
    once = np.zeros(int(groups.max()) + 1 if len(groups) else 0, dtype=np.int64)
    np.add.at(once, groups, lengths[unused])
    return RangeSplit(
        fresh_wh=parts[0], used_wh=parts[1], collided_wh=parts[2], fresh_ranges=ranges, claimed_once_wh=once
    )


def _cut(cells: Integers, positions: Integers) -> tuple[Integers, Integers, Integers]:
    """All distinct (cell, position) cuts in order, and for each given one its place among them."""
    order = np.lexsort((positions, cells))
    cells_in_order, in_order = cells[order], positions[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (cells_in_order[1:] != cells_in_order[:-1]) | (in_order[1:] != in_order[:-1])
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.cumsum(new) - 1
    return cells_in_order[new], in_order[new], places


def _covering(first: Integers, beyond: Integers, pieces: int) -> Integers:
    """How many ranges cover each piece."""
    steps = np.zeros(pieces + 1, dtype=np.int64)
    np.add.at(steps, first, 1)
    np.add.at(steps, beyond, -1)
    return np.cumsum(steps)[:pieces]


def _between(values: Integers, first: Integers, beyond: Integers) -> Integers:
    """The sum of the pieces each range covers; right even if the running total should wrap."""
    running = np.concatenate(([0], np.cumsum(values)))
    return running[beyond] - running[first]
