"""Grid factors of the four hourly zones: real location-based figures, as a data verifier signs them."""

from collections.abc import Sequence

import polars as pl

from ledger.demo.figures import grid_hour, hourly_grid
from ledger.evidence.items.records import RECORD_COLUMNS, Window
from ledger.evidence.items.typed_data import Schema
from ledger.model.units import SECONDS_PER_HOUR, Timestamp

ESTIMATED, NO_RESIDUAL_MIX = 1, 2
RESIDUAL_MG_PER_KWH = {"NO": 599_000}
"""Illustrative: Norway sells most of its guarantees of origin, so what is left over is far from clean."""


def grid_records(zones: Sequence[str], window: Window, *, above_mg: int = 0) -> pl.DataFrame:
    """One record a zone. `above_mg` is how much higher this signer's location figures are than the source's."""
    starts = range(window.start, window.end, SECONDS_PER_HOUR)
    rows = []
    for zone in zones:
        hours = [grid_hour(zone, Timestamp(start)) for start in starts]
        residual = RESIDUAL_MG_PER_KWH.get(zone)
        unpublished = NO_RESIDUAL_MIX if residual is None else 0
        rows.append(
            (
                zone,
                window.start,
                len(hours),
                b"".join((hour.location_ef + above_mg).to_bytes(4, "big") for hour in hours),
                b"".join((residual or 0).to_bytes(4, "big") for _ in hours),
                bytes(unpublished | (ESTIMATED if hour.is_estimated else 0) for hour in hours),
            )
        )
    return pl.DataFrame(rows, schema=RECORD_COLUMNS[Schema.GRID], orient="row")


def hourly_zones() -> tuple[str, ...]:
    """The zones with hourly figures, ascending."""
    return tuple(sorted(hourly_grid()))
