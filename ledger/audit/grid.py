"""Grid factors per zone and hour (rewards spec R2.25 to R2.27)."""

from dataclasses import dataclass

from ledger.audit.dossier import hourly, hours_of
from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.policy import Tables

ESTIMATED = 0b01
NO_RESIDUAL_MIX = 0b10
WORST_EF_MG = 1_000_000
"""For a zone that neither evidence nor tables know: about coal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """mg CO2e per kWh, and what at least one signer said of them."""

    location_mg: int
    residual_mg: int
    is_estimated: bool = False
    has_no_residual_mix: bool = False
    is_missing: bool = False
    """Nobody signed the hour: the yearly factor."""


class GridFactors:
    """The factors that count, from signed records and the tables' yearly figures."""

    def __init__(self, evidence: AcceptedEvidence, tables: Tables) -> None:
        self._tables = tables
        self._signed: dict[tuple[str, int], list[Factors]] = {}
        for row in evidence.grid.iter_rows(named=True):
            columns = zip(
                hours_of(evidence, row),
                hourly(row["location_ef"], 4),
                hourly(row["residual_ef"], 4),
                hourly(row["flags"], 1),
                strict=True,
            )
            for hour, location, residual, flags in columns:
                used = location if flags & NO_RESIDUAL_MIX else residual
                factors = Factors(
                    location_mg=location,
                    residual_mg=used,
                    is_estimated=bool(flags & ESTIMATED),
                    has_no_residual_mix=bool(flags & NO_RESIDUAL_MIX),
                )
                self._signed.setdefault((row["zone"], hour), []).append(factors)

    def at(self, zone: str, hour: int) -> Factors:
        """The highest of what was signed, field by field; unsigned hours take the yearly factor."""
        signed = self._signed.get((zone, hour))
        if signed is None:
            figures = self._tables.zones.get(zone)
            yearly = None if figures is None else figures.yearly_ef_mg_per_kwh
            factor = WORST_EF_MG if yearly is None else yearly
            return Factors(location_mg=factor, residual_mg=factor, is_missing=True)
        return Factors(
            location_mg=max(factors.location_mg for factors in signed),
            residual_mg=max(factors.residual_mg for factors in signed),
            is_estimated=any(factors.is_estimated for factors in signed),
            has_no_residual_mix=any(factors.has_no_residual_mix for factors in signed),
        )
