"""What a payout is made of: base, efficiency, green (R4.20)."""

import polars as pl

from ledger.model.units import PPM

MAX_POOL_WEI = 2**105
"""A pool below this keeps pay·M and rest·E inside 128 bits; it holds 500 epochs of the largest budget rolled over."""


def with_lines(paid: pl.DataFrame) -> pl.DataFrame:
    """Add the three lines to a frame with pay_wei, multiplier and efficiency; they sum to pay_wei."""
    multiplier, efficiency = (pl.col(name).cast(pl.Int128) for name in ("multiplier", "efficiency"))
    beyond = multiplier - pl.min_horizontal(multiplier, efficiency)
    gained = pl.max_horizontal(efficiency - PPM, pl.lit(0, dtype=pl.Int128))
    return (
        paid.with_columns(green_wei=pl.col("pay_wei") * beyond // multiplier)
        .with_columns(efficiency_wei=(pl.col("pay_wei") - pl.col("green_wei")) * gained // efficiency)
        .with_columns(base_wei=pl.col("pay_wei") - pl.col("green_wei") - pl.col("efficiency_wei"))
    )
