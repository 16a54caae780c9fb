"""The register of used certificates: which Wh of which issuance were credited, up to an epoch."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from ledger.db import epochs
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.ledger import Ledger


@dataclass(frozen=True, slots=True)
class RegisterPage:
    """Some ranges, and the attempt of the epoch whose register they are from."""

    attempt: int
    rows: list[dict[str, Any]]


def register_page(
    ledger: Ledger, epoch: EpochNumber, *, offset: int, limit: int, registry: bytes | None = None
) -> RegisterPage:
    """Used ranges by registry, issuance and first Wh, from a place in that order on.

    Raises RowMissingError, NotFoundError before the epoch is computed, MismatchError for a damaged file.
    """
    with ledger.database.reading() as session:
        epochs.facts(session, epoch, EpochState.COMPUTED)
        attempt = epochs.current(session, epoch).attempt
        file = ledger.artefacts.mapped(session, epoch, attempt, "used-ranges")
    lazy = pl.scan_parquet(file.place).filter(pl.col("table") == "range")
    if registry is not None:
        lazy = lazy.filter(pl.col("registry_id") == registry)
    columns = ("registry_id", "issuance_id", "range_start", "range_end")
    found = lazy.select(columns).slice(offset, limit).collect()
    return RegisterPage(
        attempt,
        [
            {
                "registry": to_hex(registry_id),
                "issuance": to_hex(issuance),
                "range_start": first,
                "range_end": last,
                "used_wh": last - first + 1,
            }
            for registry_id, issuance, first, last in found.iter_rows()
        ],
    )
