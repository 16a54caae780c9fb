"""Renewable claims: which certificates are credited, and with how many Wh (R2.16 to R2.24, R3.13).

First what each claim says by itself and about its node; then what all claims together say about a
device; then single use. A claim that fails its tier is refused, never downgraded.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from ledger.evidence.items.columns import CLAIM_COLUMNS
from ledger.evidence.judging.roles import VerifierRole
from ledger.evidence.judging.single_use import split_ranges
from ledger.evidence.judging.used_ranges import PRODUCTION_COLUMNS, UsedRegister
from ledger.model.policy import Tables
from ledger.model.units import SECONDS_PER_HOUR, ZERO_HASH, Timestamp

_RENEWABLE_SOURCES: Final = (1, 2, 3, 4, 5)
_NUCLEAR: Final = 6
_TIER_2_SECONDS: Final = 183 * 24 * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """What claims are judged against."""

    epoch_start: Timestamp
    cut_off: Timestamp
    count_nuclear: bool
    tables: Tables
    roles: tuple[VerifierRole, ...]
    """Holders of the renewable role in the epoch."""
    nodes: pl.DataFrame
    """`NODE_COLUMNS` of the active nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditedClaims:
    """Every given claim with `code` ('' = credited or a repeat), `detail`, `credited_wh`; the register after."""

    claims: pl.DataFrame
    used_after: UsedRegister


def claim_codes(claims: pl.DataFrame, rules: ClaimRules) -> pl.Series:
    """Per claim the first rule it breaks by itself (R2.18 to R2.21), '' for none.

    `claims` has `CLAIM_COLUMNS`, verifier, and its batch's batch_start and batch_end. Claims for unknown
    nodes or zones must have been refused before.
    """
    markets = {zone: figures.market for zone, figures in rules.tables.zones.items()}
    rights = [(role.verifier, registry) for role in rules.roles for registry in role.registry_ids]
    entitled = pl.DataFrame(rights, schema={"verifier": pl.Binary, "registry_id": pl.Binary}, orient="row").unique()
    affiliations = pl.DataFrame(
        {
            "verifier": [role.verifier for role in rules.roles],
            "affiliation": [role.affiliation for role in rules.roles],
        },
        schema={"verifier": pl.Binary, "affiliation": pl.Binary},
    )
    facts = (
        claims.join(
            entitled.with_columns(entitled=pl.lit(value=True)),
            on=["verifier", "registry_id"],
            how="left",
            maintain_order="left",
        )
        .join(affiliations, on="verifier", how="left", maintain_order="left")
        .join(
            rules.nodes.select("node_id", "operator", pl.col("zone").alias("node_zone")),
            on="node_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(
            market=pl.col("zone").replace_strict(markets, default=None, return_dtype=pl.String),
            node_market=pl.col("node_zone").replace_strict(markets, default=None, return_dtype=pl.String),
        )
    )
    code = pl.lit("")
    for name, broken in reversed(_claim_checks(rules)):
        code = pl.when(broken).then(pl.lit(name)).otherwise(code)
    return facts.select(code.alias("code"))["code"]


def _claim_checks(rules: ClaimRules) -> list[tuple[str, pl.Expr]]:
    """The rules in the order in which they are asked."""
    produced_from, produced_to = pl.col("production_start"), pl.col("production_end")
    hour = pl.col("consumption_hour")
    sources = [*_RENEWABLE_SOURCES, _NUCLEAR] if rules.count_nuclear else list(_RENEWABLE_SOURCES)
    hourly = pl.col("tier") == 1
    return [
        ("certificate.registry", pl.col("entitled").is_null()),
        (
            "certificate.affiliated",
            (pl.col("operator") == pl.col("verifier")) | (pl.col("operator") == pl.col("affiliation")),
        ),
        ("certificate.source", ~pl.col("source").is_in(sources)),
        ("certificate.tier", ~pl.col("tier").is_in([1, 2])),
        (
            "certificate.hour",
            (hour % SECONDS_PER_HOUR != 0)
            | (hour < pl.col("batch_start"))
            | (hour > pl.col("batch_end") - SECONDS_PER_HOUR)
            | (hourly & ((produced_from < hour) | (produced_to > hour + SECONDS_PER_HOUR))),
        ),
        (
            "certificate.zone",
            pl.when(hourly)
            .then(pl.col("zone") != pl.col("node_zone"))
            .otherwise(pl.col("market").ne_missing(pl.col("node_market"))),
        ),
        ("certificate.window", ~hourly & ((produced_from - rules.epoch_start).abs() > _TIER_2_SECONDS)),
        ("certificate.beneficiary", pl.col("beneficiary") != pl.col("operator")),
        (
            "certificate.not-cancelled",
            (pl.col("cancelled_at") < produced_to) | (pl.col("cancellation_ref") == pl.lit(bytes(ZERO_HASH))),
        ),
        ("certificate.cancelled-late", pl.col("cancelled_at") >= rules.cut_off),
    ]


def credit_claims(claims: pl.DataFrame, used: UsedRegister) -> CreditedClaims:
    """Credit claims that broke no rule by themselves: repeats, earlier use, devices, collisions, in this order.

    `claims` stands in a canonical order; of a claim repeated word for word the first counts.
    """
    judged = claims.with_row_index("place").with_columns(
        code=pl.lit(""), detail=pl.lit(""), credited_wh=pl.lit(0, dtype=pl.Int64)
    )
    first = judged.filter(pl.struct(list(CLAIM_COLUMNS)).is_first_distinct())
    repeats = judged.join(first.select("place"), on="place", how="anti").with_columns(
        detail=pl.lit("repeats another claim word for word; counts once")
    )
    split = split_ranges(first, used.ranges)
    unused = first.filter(_quantity(first) > split.used_wh)
    spent = first.filter(_quantity(first) == split.used_wh).with_columns(code=pl.lit("certificate.used"))
    excess = _over_capacity(unused, used)
    overdrawn = unused.filter(excess).with_columns(code=pl.lit("certificate.capacity"))
    sound = unused.filter(~excess)
    split = split_ranges(sound, used.ranges)
    sound = sound.with_columns(
        pl.Series("credited_wh", split.fresh_wh),
        pl.Series("used_wh", split.used_wh),
        pl.Series("collided_wh", split.collided_wh),
    ).with_columns(
        code=pl.when(pl.col("credited_wh") > 0)
        .then(pl.lit(""))
        .when(pl.col("collided_wh") > 0)
        .then(pl.lit("certificate.collision"))
        .otherwise(pl.lit("certificate.used")),
        detail=_partial_detail(),
    )
    credited = sound.filter(pl.col("credited_wh") > 0)
    after = used.after(
        split.fresh_ranges, credited.with_columns(wh=pl.col("credited_wh")).select(list(PRODUCTION_COLUMNS))
    )
    parts = [part.select(judged.columns) for part in (repeats, spent, overdrawn, sound)]
    return CreditedClaims(claims=pl.concat(parts).sort("place").drop("place"), used_after=after)


def _quantity(claims: pl.DataFrame) -> pl.Series:
    """Wh of each claim's range."""
    return claims["range_end"] - claims["range_start"] + 1


def _partial_detail() -> pl.Expr:
    partial = (pl.col("used_wh") > 0) | (pl.col("collided_wh") > 0)
    text = pl.format(
        "{} Wh credited, {} Wh used earlier, {} Wh claimed twice",
        pl.col("credited_wh"),
        pl.col("used_wh"),
        pl.col("collided_wh"),
    )
    return pl.when(partial).then(text).otherwise(pl.lit(""))


def _over_capacity(claims: pl.DataFrame, used: UsedRegister) -> pl.Series:
    """Per claim whether its device cannot have produced what is claimed of it in the overlapping time (R2.22).

    Production intervals of one device that overlap, directly or through others, count together, with
    what earlier epochs credited: 36000·ΣWh ≤ 11·capacityW·seconds. A Wh id claimed twice is produced
    once. Of several stated capacities the smallest counts.
    """
    interval = ["device_id", "production_start", "production_end", "device_capacity_w"]
    earlier = used.production.join(claims.select("device_id").unique(), on="device_id", how="semi")
    runs = (
        pl.concat(
            [
                claims.select(*interval, wh=pl.lit(0, dtype=pl.Int64), place=pl.int_range(pl.len())),
                earlier.select(*interval, "wh", place=pl.lit(None, dtype=pl.Int64)),
            ]
        )
        .sort("device_id", "production_start", "production_end", maintain_order=True)
        .with_columns(reach=pl.col("production_end").cum_max().shift(1).over("device_id"))
        .with_columns(
            run=(pl.col("reach").is_null() | (pl.col("production_start") >= pl.col("reach"))).cum_sum().cast(pl.Int64)
            - 1
        )
    )
    by_claim = runs.filter(pl.col("place").is_not_null()).sort("place")["run"]
    per_run = (
        runs.group_by("run")
        .agg(
            pl.col("wh").sum(),
            seconds=pl.col("production_end").max() - pl.col("production_start").min(),
            capacity_w=pl.col("device_capacity_w").min(),
        )
        .sort("run")
    )
    claimed = split_ranges(claims.with_columns(by_claim.alias("run")), used.ranges, "run").claimed_once_wh.tolist()
    claimed += [0] * (per_run.height - len(claimed))
    excess = [
        36_000 * (row["wh"] + claimed[row["run"]]) > 11 * row["capacity_w"] * row["seconds"]
        for row in per_run.iter_rows(named=True)
    ]
    return pl.Series("excess", [excess[run] for run in by_claim.to_list()], dtype=pl.Boolean)
