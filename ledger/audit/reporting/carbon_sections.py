"""Sections R7.1 to R7.3, R7.5 and R7.7: energy, both kinds of emissions side by side, coverage, SCI."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from ledger.audit.reporting.document import Bar, Column, Drawing, Section, Table
from ledger.audit.reporting.exact import Cell, Ratio, Unit, decimal, text_of
from ledger.audit.reporting.facts import EpochFacts
from ledger.audit.reporting.scopes import TOTAL, ZONE, HourSums, Scope, zone_hours_of
from ledger.audit.reporting.wording import ATTRIBUTION

_SCOPE: Final = (Column(name="scope", heading="Scope"), Column(name="name", heading="Name"))
_MILLION: Final = 10**6


def moment(seconds: int) -> str:
    """A second of UTC as text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def table(
    name: str,
    title: str,
    scopes: Sequence[Scope],
    columns: Sequence[tuple[Column, Callable[[Scope], Cell]]],
    *,
    note: str = "",
    attribution: str = "",
) -> Table:
    """A row a scope."""
    return Table(
        name=name,
        title=title,
        columns=(*_SCOPE, *(column for column, _ in columns)),
        rows=[[scope.kind, scope.name, *(value(scope) for _, value in columns)] for scope in scopes],
        note=note,
        attribution=attribution,
    )


def hourly(read: Callable[[HourSums], Cell]) -> Callable[[Scope], Cell]:
    """A figure of the scope's hours; unknown where its zones are shared."""
    return lambda scope: None if scope.hours is None else read(scope.hours)


def energy(scopes: Sequence[Scope]) -> Section:
    """R7.1."""

    def hours(scope: Scope) -> int:
        return scope.nodes.hours_metered + scope.nodes.hours_charged

    columns: list[tuple[Column, Callable[[Scope], Cell]]] = [
        (Column(name="nodes", heading="Nodes", unit=Unit.COUNT), lambda scope: scope.nodes.nodes),
        (Column(name="it_wh", heading="IT energy", unit=Unit.WH), lambda scope: scope.nodes.it_wh),
        (Column(name="facility_wh", heading="Facility energy", unit=Unit.WH), lambda scope: scope.nodes.load_wh),
        (
            Column(name="pue", heading="PUE", unit=Unit.PUE),
            lambda scope: Ratio.of(scope.nodes.load_wh, scope.nodes.it_wh),
        ),
        (Column(name="water_ml", heading="Water", unit=Unit.ML), lambda scope: scope.nodes.water_ml),
        (
            Column(name="metered", heading="Node-hours metered", unit=Unit.SHARE),
            lambda scope: Ratio.of(scope.nodes.hours_metered, hours(scope)),
        ),
        (
            Column(name="charged", heading="charged", unit=Unit.SHARE),
            lambda scope: Ratio.of(scope.nodes.hours_charged, hours(scope)),
        ),
        (
            Column(name="disputed", heading="disputed", unit=Unit.SHARE),
            lambda scope: Ratio.of(scope.nodes.hours_disputed, hours(scope)),
        ),
        (
            Column(name="charged_wh", heading="Facility energy charged", unit=Unit.WH),
            hourly(lambda sums: sums.charged_load_wh),
        ),
        (
            Column(name="disputed_wh", heading="disputed", unit=Unit.WH),
            hourly(lambda sums: sums.disputed_load_wh),
        ),
    ]
    note = "A charged hour has no accepted reading and counts at the node's nameplate power (R2.14)."
    zones = [scope for scope in scopes if scope.kind == ZONE]
    drawing = Drawing(
        title="Facility energy by zone, and how much of it hourly certificates matched",
        bars=[
            Bar(
                label=scope.name,
                value=scope.nodes.load_wh,
                filled=scope.nodes.m1_wh,
                text=f"{text_of(scope.nodes.load_wh, Unit.WH)} kWh",
            )
            for scope in zones
        ],
        legend=("facility energy", "matched hourly"),
    )
    return Section(
        rule="R7.1", title="Energy", tables=[table("energy", "Energy", scopes, columns, note=note)], drawings=[drawing]
    )


def location_based(scopes: Sequence[Scope]) -> Section:
    """R7.2, with the market-based figure beside it (R7.10)."""
    columns: list[tuple[Column, Callable[[Scope], Cell]]] = [
        *_side_by_side(),
        (
            Column(name="estimated", heading="Zone-hours with an estimated factor", unit=Unit.SHARE),
            hourly(lambda sums: Ratio.of(sums.estimated, sums.hours)),
        ),
        (
            Column(name="missing", heading="without a record, at the yearly factor", unit=Unit.SHARE),
            hourly(lambda sums: Ratio.of(sums.missing, sums.hours)),
        ),
    ]
    zones = [scope for scope in scopes if scope.kind == ZONE]
    bars = []
    for scope in zones:
        nodes = scope.nodes
        bars.append(Bar(label=f"{scope.name} location", value=nodes.location_ug, text=_kg(nodes.location_ug)))
        bars.append(
            Bar(
                label=f"{scope.name} market",
                value=nodes.residual_ug,
                filled=nodes.residual_ug,
                text=_kg(nodes.residual_ug),
            )
        )
    drawing = Drawing(
        title="Emissions by zone: location-based and market-based (hourly)",
        bars=bars,
        legend=("location-based", "market-based (hourly)"),
        attribution=ATTRIBUTION,
    )
    found = table("emissions", "Location-based and market-based", scopes, columns, attribution=ATTRIBUTION)
    return Section(rule="R7.2", title="Location-based emissions", tables=[found], drawings=[drawing])


def market_based(scopes: Sequence[Scope], retired_ug: int) -> Section:
    """R7.3. Offsets stand in a column of their own and are subtracted from nothing."""
    columns: list[tuple[Column, Callable[[Scope], Cell]]] = [
        (Column(name="market_ug", heading="Market-based, hourly", unit=Unit.UG), lambda s: s.nodes.residual_ug),
        (
            Column(name="market_annual_ug", heading="the older annual method, by volume", unit=Unit.UG),
            hourly(lambda sums: sums.annual_ug),
        ),
        (Column(name="location_ug", heading="Location-based", unit=Unit.UG), lambda s: s.nodes.location_ug),
        (
            Column(name="no_residual_mix", heading="Zone-hours without a published residual mix", unit=Unit.SHARE),
            hourly(lambda sums: Ratio.of(sums.no_residual_mix, sums.hours)),
        ),
        (
            Column(name="missing", heading="without any record, at the yearly factor", unit=Unit.SHARE),
            hourly(lambda sums: Ratio.of(sums.missing, sums.hours)),
        ),
        (
            Column(name="retired_ug", heading="Offsets retired, never netted", unit=Unit.UG),
            lambda scope: retired_ug if scope.kind == TOTAL else "–",
        ),
    ]
    zones = [(scope.name, scope.hours) for scope in scopes if scope.kind == ZONE and scope.hours is not None]
    unpublished = [name for name, hours in zones if hours.no_residual_mix]
    unrecorded = [name for name, hours in zones if hours.missing]
    sentences = [
        (
            "The hourly figure counts a certificate only in the hour it was produced in; certificates of other hours"
            " do not reduce it."
        ),
        (
            "The older annual method, applied to this period, lets any certificate of the period cover any hour of its"
            " node. It is shown for comparison only."
        ),
    ]
    if unpublished:
        sentences.append(
            f"No residual mix is published for: {', '.join(unpublished)}. There the location-based factor counts, which"
            " is lower than a residual mix would usually be."
        )
    if unrecorded:
        sentences.append(
            f"Hours without any grid record: {', '.join(unrecorded)}. There the zone's yearly factor stands for the"
            " residual mix too (R2.27)."
        )
    if not unpublished and not unrecorded:
        sentences.append("Every zone-hour had a residual mix.")
    return Section(
        rule="R7.3",
        title="Market-based emissions",
        sentences=sentences,
        tables=[table("market", "Market-based emissions", scopes, columns, attribution=ATTRIBUTION)],
    )


def coverage(scopes: Sequence[Scope], period: Sequence[EpochFacts]) -> Section:
    """R7.5: three different questions, never one figure."""
    columns: list[tuple[Column, Callable[[Scope], Cell]]] = [
        (Column(name="load_wh", heading="Facility energy", unit=Unit.WH), lambda s: s.nodes.load_wh),
        (
            Column(name="hourly_match", heading="Hourly match score", unit=Unit.SHARE),
            lambda s: Ratio.of(s.nodes.m1_wh, s.nodes.load_wh),
        ),
        (Column(name="matched_wh", heading="matched hourly", unit=Unit.WH), lambda s: s.nodes.m1_wh),
        (
            Column(name="volumetric", heading="Covered by volume", unit=Unit.SHARE),
            lambda s: Ratio.of(s.nodes.covered_wh, s.nodes.load_wh),
        ),
        (
            Column(name="surplus_wh", heading="Credited beyond the load", unit=Unit.WH),
            lambda s: s.nodes.tier1_wh - s.nodes.m1_wh + s.nodes.tier2_wh - s.nodes.m2_wh,
        ),
        (
            Column(name="unmatched_hours", heading="Zone-hours not fully matched", unit=Unit.COUNT),
            hourly(lambda sums: sums.unmatched_hours),
        ),
        (
            Column(name="hours_with_load", heading="of zone-hours with load", unit=Unit.COUNT),
            hourly(lambda sums: sums.hours_with_load),
        ),
    ]
    grid: list[tuple[Column, Callable[[Scope], Cell]]] = [
        (
            Column(name="grid_carbon_free", heading="The grid's carbon-free share, by load", unit=Unit.SHARE),
            hourly(lambda sums: Ratio.of(sums.carbon_free_wh_e4, sums.known_load_wh * 10_000)),
        ),
        (
            Column(name="known_hours", heading="Zone-hours in which it is published", unit=Unit.COUNT),
            hourly(lambda sums: sums.known_hours),
        ),
        (Column(name="hours", heading="of zone-hours", unit=Unit.COUNT), hourly(lambda sums: sums.hours)),
    ]
    own = table(
        "grid-carbon-free",
        "What the grid itself delivered",
        scopes,
        grid,
        note="Not a claim of anybody: it is what flows to everyone. Unknown where it is not published.",
        attribution=ATTRIBUTION,
    )
    unmatched: list[Sequence[Cell]] = [
        [hour.zone, moment(hour.at), hour.load_wh, hour.m1_wh, hour.load_wh - hour.m1_wh]
        for hour in zone_hours_of(period)
        if hour.load_wh > hour.m1_wh
    ]
    hours = Table(
        name="unmatched-hours",
        title="Unmatched hours",
        columns=(
            Column(name="zone", heading="Zone"),
            Column(name="hour", heading="Hour (UTC)"),
            Column(name="load_wh", heading="Facility energy", unit=Unit.WH),
            Column(name="matched_wh", heading="matched hourly", unit=Unit.WH),
            Column(name="unmatched_wh", heading="unmatched", unit=Unit.WH),
        ),
        rows=unmatched,
    )
    matched = table("coverage", "Certificates against load", scopes, columns)
    return Section(rule="R7.5", title="Coverage", tables=[matched, own, hours])


def intensity(scopes: Sequence[Scope]) -> Section:
    """R7.7: SCI with R = one GPU-hour."""
    columns: list[tuple[Column, Callable[[Scope], Cell]]] = [
        (
            Column(name="sci", heading="SCI", unit=Unit.G_PER_GPU_HOUR),
            lambda s: Ratio.of(s.nodes.location_ug, s.nodes.gpu_hours * _MILLION),
        ),
        (Column(name="gpu_hours", heading="GPU-hours that count", unit=Unit.COUNT), lambda s: s.nodes.gpu_hours),
        (
            Column(name="energy_per_gpu_hour", heading="Facility Wh per GPU-hour", unit=Unit.PUE),
            lambda s: Ratio.of(s.nodes.load_wh, s.nodes.gpu_hours),
        ),
        (Column(name="location_ug", heading="Location-based", unit=Unit.UG), lambda s: s.nodes.location_ug),
        (Column(name="market_ug", heading="Market-based, hourly", unit=Unit.UG), lambda s: s.nodes.residual_ug),
    ]
    sentences = [
        (
            "ISO/IEC 21031: operational emissions, location-based, per functional unit of one GPU-hour. Offsets and"
            " certificates do not enter it."
        ),
        "Embodied emissions of the hardware (M) are not attested by anybody and are therefore not included.",
    ]
    found = table("sci", "Software carbon intensity", scopes, columns, attribution=ATTRIBUTION)
    return Section(rule="R7.7", title="SCI per GPU-hour", sentences=sentences, tables=[found])


def headline(total: Scope) -> list[str]:
    """The sentences everybody may repeat, always both emissions (R7.10)."""
    nodes = total.nodes
    share = Ratio.of(nodes.m1_wh, nodes.load_wh)
    matched = "no load" if share is None else f"matched {text_of(share, Unit.SHARE)} % hourly"
    return [
        matched,
        f"{text_of(nodes.location_ug, Unit.UG_AS_TONNES)} t location-based",
        f"{text_of(nodes.residual_ug, Unit.UG_AS_TONNES)} t market-based (hourly)",
    ]


def _side_by_side() -> list[tuple[Column, Callable[[Scope], Cell]]]:
    return [
        (Column(name="location_ug", heading="Location-based", unit=Unit.UG), lambda s: s.nodes.location_ug),
        (Column(name="market_ug", heading="Market-based, hourly", unit=Unit.UG), lambda s: s.nodes.residual_ug),
        (
            Column(name="location_intensity", heading="Location-based", unit=Unit.G_PER_KWH),
            lambda s: Ratio.of(s.nodes.location_ug, s.nodes.load_wh * 1000),
        ),
        (
            Column(name="market_intensity", heading="Market-based, hourly", unit=Unit.G_PER_KWH),
            lambda s: Ratio.of(s.nodes.residual_ug, s.nodes.load_wh * 1000),
        ),
    ]


def _kg(micrograms: int) -> str:
    return f"{decimal(micrograms, 10**9, 3)} kg"
