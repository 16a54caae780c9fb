"""C, U, E, G, M and W (R4.1, R4.2, R4.5, R4.6, R4.8 to R4.11): each formula once, for many nodes and for one."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ledger.model import reasons
from ledger.model.policy import Policy
from ledger.model.units import BPS, PPM
from ledger.rules.v1.arithmetic import COLUMNS, Arithmetic, Integers, Value

if TYPE_CHECKING:
    import polars as pl

Formula = Callable[[Arithmetic, Policy], Value]


def with_factors(frame: "pl.DataFrame", policy: Policy) -> "pl.DataFrame":
    """Add u_ppm, s_ppm, match_ppm, grid_ppm, avg_ef_mg, the factors, the weight and the reasons.

    Needs the counts and sums of `NodeStatement` and the model's `capacity_milli`.
    """
    for step in _STEPS:
        frame = frame.with_columns(**{name: formula(COLUMNS, policy) for name, formula in step.items()})
    return frame


def factors_of(counts: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """One node's counts and sums with what `with_factors` adds to them."""
    figures = dict(counts)
    for step in _STEPS:
        figures |= {name: formula(Integers(figures), policy) for name, formula in step.items()}
    return figures


def _capacity(of: Arithmetic, policy: Policy) -> Value:
    """R4.1"""
    return of.where(of["capacity_passes"] >= policy.quorum_q, of["gpu_count"] * of["capacity_milli"], 0)


def _u(of: Arithmetic, policy: Policy) -> Value:  # noqa: ARG001 - every formula is given the policy
    """R4.2"""
    expected = of["expected_minutes"]
    return of.where(expected > 0, of.over(of["up_minutes"] * PPM, expected), 0)


def _too_unresolved(of: Arithmetic) -> Value:
    """R2.6: more than a quarter of the observed hours."""
    return 4 * of["hours_unresolved"] > of["hours_resolved"] + of["hours_unresolved"]


def _uptime(of: Arithmetic, policy: Policy) -> Value:
    """R4.2: a ramp from uMin to uFull."""
    u = of["u_ppm"]
    ramp = of.least(PPM, (u - policy.u_min_ppm) * PPM // (policy.u_full_ppm - policy.u_min_ppm))
    nothing = (u <= policy.u_min_ppm) | _too_unresolved(of) | (of["hours_resolved"] == 0)
    return of.where(nothing, 0, u * ramp // PPM)


def _s(of: Arithmetic, policy: Policy) -> Value:
    """R4.5: the product needs more than 64 bits; the floor comes before the limit."""
    ref, act = of["ref_e4"], of["act_e4"]
    saving = of.over(of.wide(ref - act) * PPM, of.wide(ref))
    limited = of.least(of.most(saving, -policy.s_clamp_ppm), policy.s_clamp_ppm)
    return of.where(ref > 0, of.narrow(limited), 0)


def _efficiency(of: Arithmetic, policy: Policy) -> Value:
    """R4.6"""
    return PPM + policy.k_eff_bps * of["s_ppm"] // BPS


def _match(of: Arithmetic, policy: Policy) -> Value:
    """R4.8"""
    matched = of["m1_wh"] * BPS + of["m2_wh"] * policy.t2_quality_bps
    return of.where(of["load_wh"] > 0, of.over(matched * PPM, of["load_wh"] * BPS), 0)


def _avg(of: Arithmetic, policy: Policy) -> Value:  # noqa: ARG001 - every formula is given the policy
    """R4.9: the load-weighted location factor, rounded up."""
    return of.where(of["load_wh"] > 0, -of.over(-of["location_ug"], of["load_wh"]), 0)


def _grid(of: Arithmetic, policy: Policy) -> Value:
    """R4.9"""
    cleaner = of.most(0, policy.ref_ef_mg_per_kwh - of["avg_ef_mg"])
    return of.where(of["load_wh"] > 0, cleaner * PPM // policy.ref_ef_mg_per_kwh, 0)


def _green(of: Arithmetic, policy: Policy) -> Value:
    """R4.10: one floor for the sum."""
    return PPM + (policy.g_match_bps * of["match_ppm"] + policy.g_grid_bps * of["grid_ppm"]) // BPS


def _multiplier(of: Arithmetic, policy: Policy) -> Value:
    """R4.11"""
    return of.least(policy.max_mult_ppm, of["efficiency"] * of["green"] // PPM)


def _weight(of: Arithmetic, policy: Policy) -> Value:  # noqa: ARG001 - every formula is given the policy
    """R4.11"""
    return of.wide(of["capacity"]) * of.wide(of["uptime"]) * of.wide(of["multiplier"])


def _reasons(of: Arithmetic, policy: Policy) -> Value:
    """R4.24, written in ascending order of the codes."""
    conditions = {
        reasons.ENERGY_DISPUTED: of["hours_disputed"] > 0,
        reasons.ENERGY_IMPLAUSIBLE: of["hours_implausible"] > 0,
        reasons.ENERGY_MISSING: of["hours_charged"] > 0,
        reasons.CAPACITY_QUORUM: of["capacity_passes"] < policy.quorum_q,
        reasons.UNRESOLVED: _too_unresolved(of),
        reasons.VERIFIER_OUTAGE: of["hours_resolved"] == 0,
    }
    return of.codes({code: conditions[code] for code in sorted(conditions)})


_STEPS: Final[tuple[Mapping[str, Formula], ...]] = (
    {"capacity": _capacity, "u_ppm": _u, "s_ppm": _s, "match_ppm": _match, "avg_ef_mg": _avg},
    {"uptime": _uptime, "efficiency": _efficiency, "grid_ppm": _grid},
    {"green": _green},
    {"multiplier": _multiplier},
    {"weight": _weight, "reasons": _reasons},
)
"""Each step's formulas need figures of the steps before."""
