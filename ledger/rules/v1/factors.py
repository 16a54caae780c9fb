"""C, U, E, G, M and W of each node (R4.1, R4.2, R4.5, R4.6, R4.8 to R4.11) as column formulas.

Polars divides integers towards minus infinity, as the spec's `//` does, and answers a division by zero with
null: every divisor that can be 0 has its own branch.
"""

import polars as pl

from ledger.model import reasons
from ledger.model.policy import Policy
from ledger.model.units import BPS, PPM

col = pl.col


def with_factors(frame: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Add u_ppm, s_ppm, match_ppm, grid_ppm, avg_ef_mg, the factors, the weight and the reasons.

    Needs the counts and sums of `NodeStatement` and the model's `capacity_milli`.
    """
    return (
        frame.with_columns(
            capacity=_capacity(policy), u_ppm=_u(), s_ppm=_s(policy), match_ppm=_match(policy), avg_ef_mg=_avg()
        )
        .with_columns(uptime=_uptime(policy), efficiency=_efficiency(policy), grid_ppm=_grid(policy))
        .with_columns(green=_green(policy))
        .with_columns(multiplier=pl.min_horizontal(policy.max_mult_ppm, col("efficiency") * col("green") // PPM))
        .with_columns(weight=_weight(), reasons=_reasons(policy))
    )


def _capacity(policy: Policy) -> pl.Expr:
    """R4.1"""
    return (
        pl.when(col("capacity_passes") >= policy.quorum_q).then(col("gpu_count") * col("capacity_milli")).otherwise(0)
    )


def _u() -> pl.Expr:
    """R4.2"""
    expected = col("expected_minutes")
    return pl.when(expected > 0).then(col("up_minutes") * PPM // expected).otherwise(0)


def _too_unresolved() -> pl.Expr:
    """R2.6: more than a quarter of the observed hours."""
    return 4 * col("hours_unresolved") > col("hours_resolved") + col("hours_unresolved")


def _uptime(policy: Policy) -> pl.Expr:
    """R4.2: a ramp from uMin to uFull."""
    u = col("u_ppm")
    ramp = pl.min_horizontal(PPM, (u - policy.u_min_ppm) * PPM // (policy.u_full_ppm - policy.u_min_ppm))
    nothing = (u <= policy.u_min_ppm) | _too_unresolved() | (col("hours_resolved") == 0)
    return pl.when(nothing).then(0).otherwise(u * ramp // PPM)


def _s(policy: Policy) -> pl.Expr:
    """R4.5: the product needs more than 64 bits; the floor comes before the limit."""
    ref, act = col("ref_e4"), col("act_e4")
    saving = (ref - act).cast(pl.Int128) * PPM // ref.cast(pl.Int128)
    limited = saving.clip(-policy.s_clamp_ppm, policy.s_clamp_ppm).cast(pl.Int64)
    return pl.when(ref > 0).then(limited).otherwise(0)


def _efficiency(policy: Policy) -> pl.Expr:
    """R4.6"""
    return PPM + policy.k_eff_bps * col("s_ppm") // BPS


def _match(policy: Policy) -> pl.Expr:
    """R4.8"""
    matched = col("m1_wh") * BPS + col("m2_wh") * policy.t2_quality_bps
    return pl.when(col("load_wh") > 0).then(matched * PPM // (col("load_wh") * BPS)).otherwise(0)


def _avg() -> pl.Expr:
    """R4.9: the load-weighted location factor, rounded up."""
    return pl.when(col("load_wh") > 0).then(-(-col("location_ug") // col("load_wh"))).otherwise(0)


def _grid(policy: Policy) -> pl.Expr:
    """R4.9"""
    cleaner = pl.max_horizontal(0, policy.ref_ef_mg_per_kwh - col("avg_ef_mg"))
    return pl.when(col("load_wh") > 0).then(cleaner * PPM // policy.ref_ef_mg_per_kwh).otherwise(0)


def _green(policy: Policy) -> pl.Expr:
    """R4.10: one floor for the sum."""
    return PPM + (policy.g_match_bps * col("match_ppm") + policy.g_grid_bps * col("grid_ppm")) // BPS


def _weight() -> pl.Expr:
    """R4.11"""
    return col("capacity").cast(pl.Int128) * col("uptime").cast(pl.Int128) * col("multiplier").cast(pl.Int128)


def _reasons(policy: Policy) -> pl.Expr:
    """R4.24, written in ascending order of the codes."""
    conditions = {
        reasons.ENERGY_DISPUTED: col("hours_disputed") > 0,
        reasons.ENERGY_IMPLAUSIBLE: col("hours_implausible") > 0,
        reasons.ENERGY_MISSING: col("hours_charged") > 0,
        reasons.CAPACITY_QUORUM: col("capacity_passes") < policy.quorum_q,
        reasons.UNRESOLVED: _too_unresolved(),
        reasons.VERIFIER_OUTAGE: col("hours_resolved") == 0,
    }
    said = [pl.when(conditions[code]).then(pl.lit(code)) for code in sorted(conditions)]
    return pl.concat_str(said, separator=",", ignore_nulls=True)
