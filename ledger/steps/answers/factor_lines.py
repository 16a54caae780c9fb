"""A node's factors, each with the numbers that went in, the rule and the policy that asked for it.

The text of a formula shows the numbers; the values themselves are those of the sealed statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.model.allocation import NodeStatement, Totals
from ledger.model.policy import ModelFigures, Policy
from ledger.model.units import PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorLine:
    """One factor: `inputs` by the names of statement, policy and tables, integers in their units."""

    symbol: str
    name: str
    value: int
    unit: str
    rule: str
    formula: str
    inputs: Mapping[str, int]
    policy_version: int


def factor_lines(
    paid: NodeStatement, policy: Policy, policy_version: int, figures: ModelFigures, totals: Totals
) -> tuple[FactorLine, ...]:
    """From capacity to payout, in the order of the specification (R4.1 to R4.17)."""

    def line(symbol: str, name: str, value: int, unit: str, rule: str, formula: str, **inputs: int) -> FactorLine:
        return FactorLine(
            symbol=symbol, name=name, value=value, unit=unit, rule=rule, formula=formula, inputs=inputs,
            policy_version=policy_version,
        )  # fmt: skip

    u_min, u_full = policy.u_min_ppm, policy.u_full_ppm
    capped = " (at the cap)" if paid.efficiency * paid.green // PPM > policy.max_mult_ppm else ""
    clamped = " (at the limit)" if abs(paid.s_ppm) == policy.s_clamp_ppm else ""
    return (
        line(
            "C", "capacity", paid.capacity, "milli-H100", "R4.1, R2.8", _capacity(paid, policy, figures),
            gpu_count=paid.gpu_count, capacity_milli=figures.capacity_milli, capacity_passes=paid.capacity_passes,
            capacity_fails=paid.capacity_fails, quorum_q=policy.quorum_q,
        ),
        line(
            "u", "minutes up", paid.u_ppm, "ppm", "R4.2, R2.5", f"{paid.up_minutes}·10⁶ // {paid.expected_minutes}",
            up_minutes=paid.up_minutes, expected_minutes=paid.expected_minutes, hours_resolved=paid.hours_resolved,
            hours_unresolved=paid.hours_unresolved, hours_unobserved=paid.hours_unobserved,
        ),
        line(
            "U", "uptime", paid.uptime, "ppm", "R4.2, R2.6, R2.7", _uptime(paid, policy),
            u_ppm=paid.u_ppm, u_min_ppm=u_min, u_full_ppm=u_full,
        ),
        line(
            "s", "saving", paid.s_ppm, "ppm", "R4.3 to R4.5",
            f"({paid.ref_e4} − {paid.act_e4})·10⁶ // {paid.ref_e4} within ±{policy.s_clamp_ppm}{clamped}"
            if paid.ref_e4 else "0: no reference energy",
            ref_e4=paid.ref_e4, act_e4=paid.act_e4, s_clamp_ppm=policy.s_clamp_ppm, pue_ref_e4=policy.pue_ref_e4,
            ref_active_mw=figures.ref_active_mw, ref_idle_mw=figures.ref_idle_mw, it_wh=paid.it_wh,
            hours_metered=paid.hours_metered, hours_charged=paid.hours_charged,
        ),
        line(
            "E", "efficiency", paid.efficiency, "ppm", "R4.6", f"10⁶ + {policy.k_eff_bps}·({paid.s_ppm}) // 10⁴",
            s_ppm=paid.s_ppm, k_eff_bps=policy.k_eff_bps,
        ),
        line(
            "match", "matched energy", paid.match_ppm, "ppm", "R4.8",
            f"({paid.m1_wh}·10⁴ + {paid.m2_wh}·{policy.t2_quality_bps})·10⁶ // ({paid.load_wh}·10⁴)"
            if paid.load_wh else "0: no load",
            m1_wh=paid.m1_wh, m2_wh=paid.m2_wh, load_wh=paid.load_wh, t2_quality_bps=policy.t2_quality_bps,
            tier1_wh=paid.tier1_wh, tier2_wh=paid.tier2_wh,
        ),
        line(
            "grid", "grid", paid.grid_ppm, "ppm", "R4.9",
            f"max(0, {policy.ref_ef_mg_per_kwh} − {paid.avg_ef_mg})·10⁶ // {policy.ref_ef_mg_per_kwh}"
            if paid.load_wh else "0: no load",
            avg_ef_mg=paid.avg_ef_mg, ref_ef_mg_per_kwh=policy.ref_ef_mg_per_kwh,
        ),
        line(
            "G", "green", paid.green, "ppm", "R4.10",
            f"10⁶ + ({policy.g_match_bps}·{paid.match_ppm} + {policy.g_grid_bps}·{paid.grid_ppm}) // 10⁴",
            match_ppm=paid.match_ppm, grid_ppm=paid.grid_ppm, g_match_bps=policy.g_match_bps,
            g_grid_bps=policy.g_grid_bps,
        ),
        line(
            "M", "multiplier", paid.multiplier, "ppm", "R4.11",
            f"min({policy.max_mult_ppm}, {paid.efficiency}·{paid.green} // 10⁶){capped}",
            efficiency=paid.efficiency, green=paid.green, max_mult_ppm=policy.max_mult_ppm,
        ),
        line(
            "W", "weight", paid.weight, "C·U·M", "R4.11", f"{paid.capacity}·{paid.uptime}·{paid.multiplier}",
            capacity=paid.capacity, uptime=paid.uptime, multiplier=paid.multiplier,
        ),
        line(
            "pay", "payout", paid.pay_wei, "wei", "R4.17", f"{totals.pool_wei}·W // {totals.sum_weight}"
            + (" + 1 (largest remainder)" if rounding_wei(paid, totals) else "") if totals.sum_weight else "0: ΣW = 0",
            pool_wei=totals.pool_wei, weight=paid.weight, sum_weight=totals.sum_weight,
            rounding_wei=rounding_wei(paid, totals),
        ),
    )  # fmt: skip


def rounding_wei(paid: NodeStatement, totals: Totals) -> int:
    """1 if the node got a wei of the left-over, else 0 (R4.17)."""
    return paid.pay_wei - totals.pool_wei * paid.weight // totals.sum_weight if totals.sum_weight else paid.pay_wei


def _capacity(paid: NodeStatement, policy: Policy, figures: ModelFigures) -> str:
    if paid.capacity_passes >= policy.quorum_q:
        return f"{paid.gpu_count}·{figures.capacity_milli}; {paid.capacity_passes} passes, {policy.quorum_q} needed"
    return f"0: {paid.capacity_passes} passes, {policy.quorum_q} needed"


def _uptime(paid: NodeStatement, policy: Policy) -> str:
    u_min, u_full = policy.u_min_ppm, policy.u_full_ppm
    if paid.u_ppm <= u_min:
        return f"0: u ≤ {u_min}"
    if paid.uptime == 0:
        return f"0: {paid.reasons}"
    return f"{paid.u_ppm}·min(10⁶, ({paid.u_ppm} − {u_min})·10⁶ // ({u_full} − {u_min})) // 10⁶"
