"""Synthetic certificates: hourly ones from local devices, yearly ones from a market, and some that must be refused."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from ledger.demo.energy import Reading
from ledger.demo.fleet import DemoNode, Procurement
from ledger.demo.stream import Stream, labelled
from ledger.demo.tables import market_of
from ledger.evidence.items.records import RECORD_COLUMNS, Window
from ledger.evidence.items.typed_data import Schema
from ledger.model.units import SECONDS_PER_HOUR, Hash32, Timestamp

SOLAR, WIND, HYDRO, NUCLEAR = 1, 2, 3, 6
HOURLY, ANNUAL = 1, 2
CAPACITY_W = {SOLAR: 80_000_000, WIND: 120_000_000, HYDRO: 200_000_000, NUCLEAR: 1_200_000_000}
ROOFTOP_W = 5000
MONTH = 30 * 86_400
WH_PER_EPOCH = 10**9
"""Ids of a yearly issuance set aside for one epoch, so that no epoch touches another's."""

UTC_OFFSET = {"NO": 2, "ES": 2, "US-CAL-CISO": -7, "BR": -3}
SUN_PERMILLE = (0,) * 6 + (30, 120, 300, 520, 720, 860, 940, 960, 900, 780, 610, 400, 200, 60) + (0,) * 4
"""What a summer's day gives in each local hour, against the load contracted for."""

Claim = dict[str, Any]


class Registry:
    """Hands out Wh ranges of issuances, each id once."""

    def __init__(self, seed: bytes, name: str) -> None:
        self.registry_id = registry_id(seed, name)
        self._seed = seed
        self._next: dict[Hash32, int] = {}

    def take(self, issuance: Hash32, wh: int, first: int = 0) -> tuple[int, int]:
        """The next so many Wh of an issuance, ids from `first` on."""
        start = self._next.get(issuance, first)
        self._next[issuance] = start + wh
        return start, start + wh - 1


def registry_id(seed: bytes, name: str) -> Hash32:
    """A synthetic registry's id."""
    return labelled(seed, "registry", name)


def hourly_claims(seed: bytes, readings: Sequence[Reading], window: Window) -> list[Claim]:
    """Tier 1: for each node that buys by the hour, what its device produced for it in each hour."""
    registry = Registry(seed, "hourly")
    claims = []
    for reading in readings:
        node = reading.node
        if node.procurement is not Procurement.HOURLY:
            continue
        device = labelled(seed, "device", node.zone, node.source)
        stream = Stream(seed, "green", node.index, window.start)
        for place, load_wh in enumerate(reading.load_wh):
            hour = window.start + place * SECONDS_PER_HOUR
            wh = load_wh * _output_permille(stream, node, hour) // 1000
            if wh:
                issuance = labelled(seed, "issuance", node.zone, node.source, hour)
                wh_range = registry.take(issuance, wh)
                produced = (hour, hour + SECONDS_PER_HOUR)
                claims.append(_claim(registry, issuance, wh_range, device, node, HOURLY, produced, window))
    return claims


def annual_claims(seed: bytes, readings: Sequence[Reading], window: Window, epoch: int) -> list[Claim]:
    """Tier 2: for each node that buys by the year, 60 to 120 % of its load from last month's production."""
    registry = Registry(seed, "annual")
    claims = []
    for reading in readings:
        node = reading.node
        if node.procurement is not Procurement.ANNUAL:
            continue
        stream = Stream(seed, "volume", node.index, epoch)
        wh = sum(reading.load_wh) * stream.between(600, 1200) // 1000
        claims.append(_annual_claim(seed, registry, node, max(1, wh), window, epoch))
    return claims


def refused_claims(seed: bytes, good: Sequence[Claim], readings: Sequence[Reading]) -> Iterator[Claim]:
    """Deliberate: claims like the good ones, each with one thing wrong.

    A source that does not count, another beneficiary, a registry the verifier does not speak for, a device
    beyond its rated power, and Wh that another node claims too (which costs both of them).
    """
    if not good:
        return
    model = good[0]
    stray = {"range_start": 10**12, "range_end": 10**12 + 999}
    yield {**model, **stray, "source": NUCLEAR, "device_id": labelled(seed, "device", "reactor")}
    yield {**model, **stray, "range_start": 10**12 + 1000, "range_end": 10**12 + 1999, "beneficiary": b"\x11" * 20}
    yield {**model, **stray, "registry_id": registry_id(seed, "unknown")}
    rooftop = {"device_id": labelled(seed, "device", "rooftop"), "device_capacity_w": ROOFTOP_W}
    yield {**model, **rooftop, "range_start": 2 * 10**12, "range_end": 2 * 10**12 + 2 * ROOFTOP_W - 1}
    for reading in readings:
        other = reading.node
        if other.zone == model["zone"] and other.operator != model["beneficiary"]:
            yield {**model, "node_id": other.node_id, "beneficiary": other.operator}
            return


def reused_claim(seed: bytes, readings: Sequence[Reading], window: Window, epoch: int) -> Iterator[Claim]:
    """Deliberate: from the second epoch on, Wh that the epoch before has already credited."""
    for reading in readings:
        if epoch and reading.node.procurement is Procurement.ANNUAL:
            yield _annual_claim(seed, Registry(seed, "annual"), reading.node, 1000, window, epoch - 1)
            return


def claim_records(claims: Sequence[Claim]) -> pl.DataFrame:
    """Claims as records."""
    columns = RECORD_COLUMNS[Schema.RENEWABLE]
    return pl.DataFrame([[claim[name] for name in columns] for claim in claims], schema=columns, orient="row")


def _annual_claim(seed: bytes, registry: Registry, node: DemoNode, wh: int, window: Window, epoch: int) -> Claim:
    market = market_of(node.registration.country)
    issuance = labelled(seed, "issuance", market)
    device = labelled(seed, "device", market)
    wh_range = registry.take(issuance, wh, epoch * WH_PER_EPOCH)
    start = window.start // MONTH * MONTH - MONTH
    claim = _claim(registry, issuance, wh_range, device, node, ANNUAL, (start, start + MONTH), window)
    return {**claim, "source": WIND, "device_capacity_w": CAPACITY_W[WIND]}


def _claim(
    registry: Registry,
    issuance: Hash32,
    wh_range: tuple[int, int],
    device: Hash32,
    node: DemoNode,
    tier: int,
    produced: tuple[int, int],
    window: Window,
) -> Claim:
    start, end = wh_range
    return {
        "registry_id": registry.registry_id,
        "issuance_id": issuance,
        "range_start": start,
        "range_end": end,
        "device_id": device,
        "device_capacity_w": CAPACITY_W[node.source],
        "source": node.source,
        "tier": tier,
        "zone": node.zone,
        "production_start": produced[0],
        "production_end": produced[1],
        "node_id": node.node_id,
        "consumption_hour": produced[0] if tier == HOURLY else window.start,
        "beneficiary": node.operator,
        "cancelled_at": Timestamp(window.end + SECONDS_PER_HOUR // 2),
        "cancellation_ref": labelled(issuance, "cancelled", start, node.index),
    }


def _output_permille(stream: Stream, node: DemoNode, hour: int) -> int:
    noise = stream.below(1000)
    match node.source:
        case 1:
            local = (hour // SECONDS_PER_HOUR + UTC_OFFSET[node.zone]) % 24
            return SUN_PERMILLE[local] * (850 + noise * 3 // 10) // 1000
        case 2:
            return 200 + noise * 9 // 10
        case _:
            return 930 + noise // 10
