"""Grid factors of each zone and hour: several signers, missing residual mixes, missing records (R2.25 to R2.27)."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.errors import InvariantError
from ledger.model.policy import Tables
from ledger.rules.v1.placement import Flags, Ints, Records, any_slot
from ledger.rules.v1.widths import MAX_FACTOR_MG

ESTIMATED, NO_RESIDUAL_MIX = 1, 2
UNKNOWN_ZONE_MG = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GridFactors:
    """Factors in mg CO2e/kWh and what they rest on; arrays are [zone, hour]."""

    zones: pl.DataFrame
    """One column, `zone`, ascending: the zones in which nodes stand."""
    location_mg: Ints
    residual_mg: Ints
    estimated: Flags
    no_residual_mix: Flags
    missing: Flags


def grid_factors(evidence: AcceptedEvidence, tables: Tables) -> GridFactors:
    """The factors that count in every zone with a node."""
    zones = evidence.nodes.select(pl.col("zone").unique().sort())
    records = Records(evidence.grid, zones, key="zone", window_start=evidence.window_start, hours=evidence.hours).run(
        0, len(zones)
    )
    location = records.spread_array("location_ef", 4).astype(np.int64)
    flags = records.spread_array("flags", 1)
    no_mix = flags & np.uint64(NO_RESIDUAL_MIX) > 0
    residual = np.where(no_mix, location, records.spread_array("residual_ef", 4).astype(np.int64))
    missing = ~any_slot(records.covered())
    yearly = np.array([[_yearly_mg(tables, zone)] for zone in zones["zone"]], dtype=np.int64).reshape(-1, 1)
    location_mg = np.where(missing, yearly, location.max(axis=0, initial=0))
    residual_mg = np.where(missing, yearly, residual.max(axis=0, initial=0))
    if max(location_mg.max(initial=0), residual_mg.max(initial=0)) > MAX_FACTOR_MG:
        raise InvariantError(f"epoch {evidence.epoch}: an accepted grid factor exceeds {MAX_FACTOR_MG} mg/kWh")
    return GridFactors(
        zones=zones,
        location_mg=location_mg,
        residual_mg=residual_mg,
        estimated=any_slot(flags & np.uint64(ESTIMATED) > 0),
        no_residual_mix=any_slot(no_mix),
        missing=missing,
    )


def _yearly_mg(tables: Tables, zone: str) -> int:
    figures = tables.zones.get(zone)
    if figures is None or figures.yearly_ef_mg_per_kwh is None:
        return UNKNOWN_ZONE_MG
    return figures.yearly_ef_mg_per_kwh
