"""Sums over a period: in total, per zone and per country, in integers of any size.

Per-node figures come from the statements, hourly ones from the zone hours. A country has hourly figures only
where each of its zones lies in it alone; otherwise they are unknown rather than shared out by guess.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import polars as pl

from ledger.audit.reporting.facts import EpochFacts
from ledger.model.units import SECONDS_PER_HOUR, Timestamp, ceil_div

TOTAL: Final = "total"
ZONE: Final = "zone"
COUNTRY: Final = "country"
_SUMS: Final = (
    "it_wh", "load_wh", "water_ml", "hours_metered", "hours_charged", "hours_disputed", "hours_implausible",
    "m1_wh", "m2_wh", "tier1_wh", "tier2_wh", "location_ug", "residual_ug",
    "pay_wei", "base_wei", "efficiency_wei", "green_wei",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSums:
    """Sums over the statements of a scope's nodes."""

    nodes: int
    gpu_hours: int
    """GPUs times hours that count (R2.15)."""
    it_wh: int
    load_wh: int
    water_ml: int
    hours_metered: int
    hours_charged: int
    hours_disputed: int
    hours_implausible: int
    m1_wh: int
    m2_wh: int
    tier1_wh: int
    tier2_wh: int
    covered_wh: int
    """By volume over the period: of each node no more than its load."""
    location_ug: int
    residual_ug: int
    pay_wei: int
    base_wei: int
    efficiency_wei: int
    green_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HourSums:
    """Sums over the hours of a scope's zones."""

    hours: int
    estimated: int
    missing: int
    no_residual_mix: int
    hours_with_load: int
    unmatched_hours: int
    """Hours with a load that hourly certificates did not cover whole."""
    charged_load_wh: int
    disputed_load_wh: int
    annual_ug: int
    """Market-based the older way: what certificates do not cover by volume, at the residual factor, rounded up."""
    known_load_wh: int
    """Load of the hours whose carbon-free share is published."""
    carbon_free_wh_e4: int
    """Σ load · share in bps over those hours."""
    known_hours: int

    def __add__(self, other: "HourSums") -> "HourSums":
        return HourSums(
            **{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(HourSums)}
        )


_NO_HOURS: Final = HourSums(**{each.name: 0 for each in fields(HourSums)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The whole network, one zone or one country, over the period."""

    kind: str
    name: str
    nodes: NodeSums
    hours: HourSums | None
    """None for a country that shares a zone with another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneHour:
    """One hour of one zone."""

    zone: str
    at: Timestamp
    load_wh: int
    m1_wh: int
    location_ef_mg: int
    residual_ef_mg: int
    estimated: bool
    missing: bool
    no_residual_mix: bool
    charged_load_wh: int
    disputed_load_wh: int
    low_carbon_bps: int | None


def scopes_of(period: Sequence[EpochFacts]) -> list[Scope]:
    """The total, then every zone, then every country, by name."""
    statements = pl.concat([facts.statements for facts in period])
    rows = list(_node_rows(statements))
    countries: dict[str, set[str]] = {}
    for row in rows:
        countries.setdefault(row["zone"], set()).add(row["country"])
    by_zone: dict[str, list[ZoneHour]] = {}
    for hour in zone_hours_of(period):
        by_zone.setdefault(hour.zone, []).append(hour)
    groups = {zone: [row for row in rows if row["zone"] == zone] for zone in sorted({*countries, *by_zone})}
    sums = {zone: _node_sums(found) for zone, found in groups.items()}
    hours = {zone: _hour_sums(by_zone.get(zone, []), sums[zone]) for zone in groups}
    scopes = [Scope(kind=TOTAL, name="", nodes=_node_sums(rows), hours=sum(hours.values(), _NO_HOURS))]
    scopes += [Scope(kind=ZONE, name=zone, nodes=sums[zone], hours=hours[zone]) for zone in groups]
    for country in sorted({name for names in countries.values() for name in names}):
        zones = [zone for zone, names in sorted(countries.items()) if country in names]
        alone = all(len(countries[zone]) == 1 for zone in zones)
        scopes.append(
            Scope(
                kind=COUNTRY,
                name=country,
                nodes=_node_sums([row for row in rows if row["country"] == country]),
                hours=sum((hours[zone] for zone in zones), _NO_HOURS) if alone else None,
            )
        )
    return scopes


def zone_hours_of(period: Sequence[EpochFacts]) -> Iterator[ZoneHour]:
    """Every hour of every zone, epoch by epoch."""
    for facts in period:
        for row in facts.zone_hours.sort("zone", "hour").iter_rows(named=True):
            at = Timestamp(facts.start + row["hour"] * SECONDS_PER_HOUR)
            yield ZoneHour(
                zone=row["zone"],
                at=at,
                low_carbon_bps=facts.low_carbon_bps.get((row["zone"], at)),
                **{
                    name: row[name]
                    for name in (
                        "load_wh", "m1_wh", "location_ef_mg", "residual_ef_mg", "estimated", "missing",
                        "no_residual_mix", "charged_load_wh", "disputed_load_wh",
                    )
                },
            )  # fmt: skip


def _node_rows(statements: pl.DataFrame) -> Iterator[Mapping[str, Any]]:
    """A row a node, zone and country, summed over the period: surplus of one epoch covers another by volume."""
    gpu_hours = pl.col("gpu_count").cast(pl.Int128) * (pl.col("hours_metered") + pl.col("hours_charged"))
    summed = statements.group_by("node_id", "zone", "country").agg(
        *(pl.col(name).cast(pl.Int128).sum() for name in _SUMS), gpu_hours.sum().alias("gpu_hours")
    )
    yield from summed.sort("node_id", "zone", "country").iter_rows(named=True)


def _node_sums(rows: Sequence[Mapping[str, Any]]) -> NodeSums:
    return NodeSums(
        nodes=len({row["node_id"] for row in rows}),
        gpu_hours=sum(row["gpu_hours"] for row in rows),
        covered_wh=sum(min(row["load_wh"], row["tier1_wh"] + row["tier2_wh"]) for row in rows),
        **{name: sum(row[name] for row in rows) for name in _SUMS},
    )


def _hour_sums(hours: Sequence[ZoneHour], nodes: NodeSums) -> HourSums:
    load = sum(hour.load_wh for hour in hours)
    at_residual = sum(hour.load_wh * hour.residual_ef_mg for hour in hours)
    uncovered = nodes.load_wh - nodes.covered_wh
    known = [(hour.load_wh, hour.low_carbon_bps) for hour in hours if hour.low_carbon_bps is not None]
    return HourSums(
        hours=len(hours),
        estimated=sum(hour.estimated for hour in hours),
        missing=sum(hour.missing for hour in hours),
        no_residual_mix=sum(hour.no_residual_mix for hour in hours),
        hours_with_load=sum(hour.load_wh > 0 for hour in hours),
        unmatched_hours=sum(hour.load_wh > hour.m1_wh for hour in hours),
        charged_load_wh=sum(hour.charged_load_wh for hour in hours),
        disputed_load_wh=sum(hour.disputed_load_wh for hour in hours),
        annual_ug=ceil_div(at_residual * uncovered, load) if load else 0,
        known_load_wh=sum(wh for wh, _ in known),
        carbon_free_wh_e4=sum(wh * bps for wh, bps in known),
        known_hours=len(known),
    )
