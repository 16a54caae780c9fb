"""Synthetic energy readings: measured percentiles of server power, scaled to each node's model."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ledger.demo.figures import server_power
from ledger.demo.fleet import DemoNode
from ledger.demo.stream import Stream
from ledger.demo.uptime import HOUR_MASK
from ledger.evidence.items.records import RECORD_COLUMNS, Window
from ledger.evidence.items.typed_data import Schema
from ledger.model.units import MINUTES_PER_HOUR, SECONDS_PER_HOUR, ceil_div

IDLE_SERVER_W, BUSY_SERVER_W = 1512, 5040
"""The 5th and 95th percentile of the measured servers: what counts as idle and as fully busy."""
HOST_IDLE_MW, HOST_BUSY_MW = 130_000, 200_000
"""The host's share per GPU that the reference figures contain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A node's hours as its meter reports them."""

    node: DemoNode
    active_gpu_sec: tuple[int, ...]
    gpu_millijoule: tuple[int, ...]
    it_wh: tuple[int, ...]
    water_ml: tuple[int, ...]

    @property
    def load_wh(self) -> tuple[int, ...]:
        """Facility Wh by hour (rewards spec R4.7), for sizing certificates; unmetered sites at the reference PUE."""
        floor = (15_400, 12_000, 0, 0)[self.node.meter_class]
        pue = max(self.node.pue_e4, floor)
        return tuple(ceil_div(wh * pue, 10_000) for wh in self.it_wh)


def read_meter(seed: bytes, node: DemoNode, up: int, epoch: int, hours: int) -> Reading:
    """What the node drew in each hour; an hour it was down in, it idles."""
    stream = Stream(seed, "energy", node.index, epoch)
    active, millijoule, it_wh, water = [], [], [], []
    for hour in range(hours):
        percentile = min(99, max(1, node.busy_percentile + stream.between(-18, 18)))
        power = server_power()[percentile if up >> (hour * MINUTES_PER_HOUR) & HOUR_MASK else 1]
        busy_ppm = max(0, power.server_w - IDLE_SERVER_W) * 1_000_000 // (BUSY_SERVER_W - IDLE_SERVER_W)
        gpu_mw = node.gpu_count * node.figures.tdp_w * (150_000 + 6 * busy_ppm // 10) // 1000
        host_mw = HOST_IDLE_MW + (HOST_BUSY_MW - HOST_IDLE_MW) * busy_ppm // 1_000_000
        node_mw = gpu_mw + node.gpu_count * host_mw * node.host_percent // 100
        active.append(node.gpu_count * SECONDS_PER_HOUR * power.activity_permille // 1000)
        millijoule.append(gpu_mw * SECONDS_PER_HOUR)
        it_wh.append(ceil_div(node_mw, 1000))
        water.append(it_wh[-1] * node.water_ml_per_kwh // 1000)
    return Reading(
        node=node,
        active_gpu_sec=tuple(active),
        gpu_millijoule=tuple(millijoule),
        it_wh=tuple(it_wh),
        water_ml=tuple(water),
    )


def energy_records(readings: Sequence[Reading], window: Window, *, it_percent: int = 100) -> pl.DataFrame:
    """One record a node. `it_percent` is how high this meter reads against the others."""
    hours = (window.end - window.start) // SECONDS_PER_HOUR
    rows = [
        (
            reading.node.node_id,
            window.start,
            hours,
            reading.node.zone,
            reading.node.gpu_count,
            reading.node.pue_e4,
            reading.node.meter_class,
            _packed(_overstated(reading), 4),
            _packed(reading.gpu_millijoule, 8),
            _packed([wh * it_percent // 100 for wh in reading.it_wh], 4),
            _packed(reading.water_ml, 4),
        )
        for reading in readings
    ]
    return pl.DataFrame(rows, schema=RECORD_COLUMNS[Schema.ENERGY], orient="row")


def is_silent(node: DemoNode) -> bool:
    """Deliberate: these nodes have no meter reading, and are charged their nameplate."""
    return node.index % 211 == 8


def is_metered_twice(node: DemoNode) -> bool:
    """Deliberate: a second meter reads these nodes 15 % higher, so their hours are disputed."""
    return node.index % 97 == 1


def _overstated(reading: Reading) -> Sequence[int]:
    """Deliberate: a few nodes claim more activity in the first hour than an hour has seconds."""
    if reading.node.index % 307 != 3:
        return reading.active_gpu_sec
    return [reading.node.gpu_count * SECONDS_PER_HOUR + 1, *reading.active_gpu_sec[1:]]


def _packed(numbers: Sequence[int], width: int) -> bytes:
    return b"".join(number.to_bytes(width, "big") for number in numbers)
