"""One node's factors and weight (rewards spec R4.1 to R4.12), as exact fractions rounded where the spec rounds."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from ledger.audit.dossier import Dossier
from ledger.audit.energy import MILLIJOULE_PER_WH, CountedHour, NodeEnergy
from ledger.audit.grid import GridFactors
from ledger.audit.quorum import NodeQuorum
from ledger.model.policy import ModelFigures, Policy
from ledger.model.units import BPS, PPM, SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """u and U, ppm."""

    u_ppm: int
    uptime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """Reference and metered energy in mW·s·10⁴, the saving s and the factor E in ppm."""

    ref_e4: int
    act_e4: int
    s_ppm: int
    efficiency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Facility load in Wh, what certificates match of it, its emissions in µg, and the factor G in ppm."""

    load_wh: int
    m1_wh: int
    m2_wh: int
    match_ppm: int
    avg_ef_mg: int
    grid_ppm: int
    green: int
    location_ug: int
    residual_ug: int


def capacity_of(dossier: Dossier, quorum: NodeQuorum, figures: ModelFigures, policy: Policy) -> int:
    """C in milli-H100 (R4.1)."""
    if quorum.capacity_passes < policy.quorum_q:
        return 0
    return dossier.gpu_count * figures.capacity_milli


def uptime_of(quorum: NodeQuorum, policy: Policy) -> Uptime:
    """u and U (R4.2, R2.6, R2.7)."""
    expected = quorum.expected_minutes
    u = floor(Fraction(quorum.up_minutes * PPM, expected)) if expected else 0
    if quorum.is_in_doubt or quorum.resolved == 0 or u <= policy.u_min_ppm:
        return Uptime(u_ppm=u, uptime=0)
    ramp = min(PPM, floor(Fraction(u - policy.u_min_ppm, policy.u_full_ppm - policy.u_min_ppm) * PPM))
    return Uptime(u_ppm=u, uptime=floor(Fraction(u * ramp, PPM)))


def saving_of(dossier: Dossier, energy: NodeEnergy, figures: ModelFigures, policy: Policy) -> Saving:
    """What the node drew against the governed reference for the same work (R4.3 to R4.6)."""
    ref = sum(_reference_power(hour, dossier, figures) for hour in energy.hours) * policy.pue_ref_e4
    act = sum(hour.it_wh * MILLIJOULE_PER_WH * hour.pue_e4 for hour in energy.hours)
    s = 0 if ref == 0 else floor(Fraction(ref - act, ref) * PPM)
    s = min(max(s, -policy.s_clamp_ppm), policy.s_clamp_ppm)
    efficiency = PPM + floor(Fraction(policy.k_eff_bps * s, BPS))
    return Saving(ref_e4=ref, act_e4=act, s_ppm=s, efficiency=efficiency)


def load_of(hour: CountedHour) -> int:
    """What the facility drew for one hour, in Wh (R4.7)."""
    return ceil(Fraction(hour.it_wh * hour.pue_e4, 10_000))


def matched_of(load_wh: int, dossier: Dossier, hour: int) -> int:
    """How much of an hour's load certificates of the same hour match, in Wh (R4.8)."""
    return min(load_wh, dossier.tier1_wh.get(hour, 0))


def footprint_of(dossier: Dossier, energy: NodeEnergy, grid: GridFactors, policy: Policy) -> Footprint:
    """Load, matching, grid and emissions over the hours that count (R4.7 to R4.10, R4.12)."""
    load_wh = m1_wh = location_ug = residual_ug = 0
    for counted in energy.hours:
        load = load_of(counted)
        matched = matched_of(load, dossier, counted.hour)
        factors = grid.at(dossier.zone, counted.hour)
        load_wh += load
        m1_wh += matched
        location_ug += load * factors.location_mg
        residual_ug += (load - matched) * factors.residual_mg
    m2_wh = min(load_wh - m1_wh, dossier.tier2_wh)
    match, average, cleanness = 0, 0, 0
    if load_wh > 0:
        quality = Fraction(policy.t2_quality_bps, BPS)
        match = floor((m1_wh + m2_wh * quality) / load_wh * PPM)
        average = ceil(Fraction(location_ug, load_wh))
        cleanness = floor(Fraction(max(0, policy.ref_ef_mg_per_kwh - average), policy.ref_ef_mg_per_kwh) * PPM)
    green = PPM + floor(Fraction(policy.g_match_bps * match + policy.g_grid_bps * cleanness, BPS))
    return Footprint(
        load_wh=load_wh,
        m1_wh=m1_wh,
        m2_wh=m2_wh,
        match_ppm=match,
        avg_ef_mg=average,
        grid_ppm=cleanness,
        green=green,
        location_ug=location_ug,
        residual_ug=residual_ug,
    )


def multiplier_of(saving: Saving, footprint: Footprint, policy: Policy) -> int:
    """M in ppm (R4.11)."""
    return min(policy.max_mult_ppm, floor(Fraction(saving.efficiency * footprint.green, PPM)))


def _reference_power(hour: CountedHour, dossier: Dossier, figures: ModelFigures) -> int:
    """What the reference hardware would have drawn for the hour's work, in mW·s (R4.3)."""
    idle_gpu_sec = dossier.gpu_count * SECONDS_PER_HOUR - hour.active_gpu_sec
    return figures.ref_active_mw * hour.active_gpu_sec + figures.ref_idle_mw * idle_gpu_sec
