"""Deriving the detail rows from what the reference calculator found; their order is part of what they say."""

from collections import Counter
from collections.abc import Iterable, Sequence

import polars as pl

from ledger.audit.details.rows import CreditedClaim, Details, RefusedReading, Verdict, ZoneHour
from ledger.audit.dossier import Dossier
from ledger.audit.energy import NodeEnergy
from ledger.audit.formula import load_of, matched_of
from ledger.audit.grid import GridFactors
from ledger.evidence.judging.frozen import Judgement
from ledger.model.reasons import ENERGY_IMPLAUSIBLE

Metered = Sequence[tuple[Dossier, NodeEnergy]]


def zone_hours(metered: Metered, grid: GridFactors, hours: int) -> tuple[ZoneHour, ...]:
    """Each zone in which a node stands, hour by hour, by (zone, hour)."""
    sums: dict[tuple[str, int], Counter[str]] = {}
    for dossier, energy in metered:
        for counted in energy.hours:
            load = load_of(counted)
            added = {"it_wh": counted.it_wh, "load_wh": load, "m1_wh": matched_of(load, dossier, counted.hour)}
            if counted.is_charged:
                added["charged_load_wh"] = load
            if counted.is_disputed:
                added["disputed_load_wh"] = load
            sums.setdefault((dossier.zone, counted.hour), Counter()).update(added)
    return tuple(
        _zone_hour(zone, hour, grid, sums.get((zone, hour), Counter()))
        for zone in sorted({dossier.zone for dossier, _ in metered})
        for hour in range(hours)
    )


def refused_readings(metered: Metered) -> tuple[RefusedReading, ...]:
    """Every implausible reading, by (node, verifier, hour); one that was signed twice word for word is one."""
    found = {
        (dossier.node_id, verifier, hour) for dossier, energy in metered for hour, verifier in energy.refused_readings
    }
    return tuple(
        RefusedReading(node_id=node, verifier=verifier, hour=hour, code=ENERGY_IMPLAUSIBLE)
        for node, verifier, hour in sorted(found)
    )


def details_of(
    judgement: Judgement, hours_refused: Iterable[RefusedReading], by_zone_hour: Iterable[ZoneHour]
) -> Details:
    """All detail rows of an epoch by the name of their file."""
    return {
        "claims-credited": _rows(judgement.accepted.claims, CreditedClaim),
        "hours-refused": tuple(hours_refused),
        "verdicts": _rows(judgement.verdicts, Verdict),
        "zone-hours": tuple(by_zone_hour),
    }


def _zone_hour(zone: str, hour: int, grid: GridFactors, sums: Counter[str]) -> ZoneHour:
    factors = grid.at(zone, hour)
    return ZoneHour(
        zone=zone,
        hour=hour,
        location_ef_mg=factors.location_mg,
        residual_ef_mg=factors.residual_mg,
        estimated=factors.is_estimated,
        no_residual_mix=factors.has_no_residual_mix,
        missing=factors.is_missing,
        it_wh=sums["it_wh"],
        load_wh=sums["load_wh"],
        charged_load_wh=sums["charged_load_wh"],
        disputed_load_wh=sums["disputed_load_wh"],
        m1_wh=sums["m1_wh"],
    )


def _rows(frame: pl.DataFrame, kind: type[CreditedClaim] | type[Verdict]) -> tuple[CreditedClaim | Verdict, ...]:
    names = list(kind.__dataclass_fields__)
    return tuple(kind(**row) for row in frame.select(names).iter_rows(named=True))
