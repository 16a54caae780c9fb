"""Which energy readings count, and what each hour drew (R2.9 to R2.15, R4.3, R4.4, R4.7)."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ledger.model.units import MINUTES_PER_HOUR, SECONDS_PER_HOUR
from ledger.rules.v1.placement import Flags, Ints, Placement, any_slot
from ledger.rules.v1.quorum import Quorum

MILLIJOULE_PER_WH = 3_600_000
PUE_MIN_E4, PUE_MAX_E4 = 10_000, 30_000
PUE_CLASS_1_E4 = 12_000
_NO_READING = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFigures:
    """Registration and model of a run of nodes, each [node, 1] to meet [node, hour]."""

    gpu_count: Ints
    nameplate_w: Ints
    tdp_w: Ints
    ref_active_mw: Ints
    ref_idle_mw: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What a run of nodes drew; arrays are [node, hour], 0 in hours that do not count."""

    metered: Flags
    charged: Flags
    disputed: Flags
    refused: Flags
    """[slot, node, hour]: readings outside the bounds."""
    it_wh: Ints
    water_ml: Ints
    load_wh: Ints
    ref_e4: Ints
    """[node]: Σ over hours, mW·s·10⁴."""
    act_e4: Ints
    """[node]: Σ over hours, mW·s·10⁴."""


def measure(readings: Placement, nodes: pl.DataFrame, figures: NodeFigures, seen: Quorum, pue_ref_e4: int) -> Energy:
    """Judge every reading, take the worst of several meters, charge silent hours, and add up."""
    active_sec = readings.spread_array("active_gpu_sec", 4).astype(np.int64)
    gpu_mj = readings.spread_array("gpu_millijoule", 8)
    it_wh = readings.spread_array("it_wh", 4).astype(np.int64)
    water_ml = readings.spread_array("water_ml", 4).astype(np.int64)

    covered = readings.covered()
    sound = readings.spread_flag(_record_is_sound(readings, nodes))
    # gpuMilliJoule uses all 64 bits of its word: comparing it with signed limits would go through floats.
    plausible = (
        sound
        & (active_sec <= figures.gpu_count * SECONDS_PER_HOUR)
        & (gpu_mj <= (figures.gpu_count * figures.tdp_w * (MILLIJOULE_PER_WH * 105 // 100)).astype(np.uint64))
        & (gpu_mj <= (it_wh * MILLIJOULE_PER_WH).astype(np.uint64))
        & (100 * it_wh <= 105 * figures.nameplate_w)
        & ((seen.up_minutes < MINUTES_PER_HOUR) | (2000 * it_wh >= figures.gpu_count * figures.ref_idle_mw))
    )
    pue_e4 = readings.spread_value(_pue_used(readings, pue_ref_e4))

    highest_it = _highest(it_wh, plausible)
    metered = any_slot(plausible)
    disputed = metered & (10 * (highest_it - _lowest(it_wh, plausible)) > highest_it)
    active = np.minimum(
        _lowest(active_sec, plausible),
        _lowest(np.where(plausible, gpu_mj, 0).astype(np.int64), plausible) // (500 * figures.tdp_w),
    )

    charged = ~metered & ~seen.unobserved & ~(seen.resolved & (seen.up_minutes == 0))
    nameplate_wh = np.maximum(figures.nameplate_w, -(-figures.gpu_count * figures.ref_active_mw // 1000))
    used_it = np.where(charged, nameplate_wh, highest_it)
    used_pue = np.where(charged, pue_ref_e4, _highest(pue_e4, plausible))
    idle = figures.gpu_count * SECONDS_PER_HOUR - active
    reference = (figures.ref_active_mw * active + figures.ref_idle_mw * idle) * pue_ref_e4
    return Energy(
        metered=metered,
        charged=charged,
        disputed=disputed,
        refused=covered & ~plausible,
        it_wh=used_it,
        water_ml=_highest(water_ml, plausible),
        load_wh=-(-used_it * used_pue // 10_000),
        ref_e4=np.where(metered | charged, reference, 0).sum(axis=1),
        act_e4=(used_it * MILLIJOULE_PER_WH * used_pue).sum(axis=1),
    )


def _record_is_sound(readings: Placement, nodes: pl.DataFrame) -> Flags:
    """Whether zone and GPU count are those registered and PUE is within its bounds (R2.10, 1 and 2)."""
    registered = nodes.select("zone", "gpu_count")[readings.owner]
    records = readings.records
    sound = (
        (records["zone"] == registered["zone"])
        & (records["gpu_count"] == registered["gpu_count"])
        & records["pue_e4"].is_between(PUE_MIN_E4, PUE_MAX_E4)
    )
    return sound.to_numpy().astype(np.bool_)


def _pue_used(readings: Placement, pue_ref_e4: int) -> Ints:
    """Each meter's PUE after the rule of its class (R2.11)."""
    pue, meter_class = pl.col("pue_e4"), pl.col("meter_class")
    used = (
        pl.when(meter_class == 0)
        .then(pl.max_horizontal(pue, pl.lit(pue_ref_e4, dtype=pl.Int64)))
        .when(meter_class == 1)
        .then(pl.max_horizontal(pue, pl.lit(PUE_CLASS_1_E4, dtype=pl.Int64)))
        .otherwise(pue)
    )
    return readings.records.select(used).to_series().to_numpy()


def _highest(values: Ints, counting: Flags) -> Ints:
    """The highest over meters [slot] whose reading counts; 0 if none does."""
    highest: Ints = np.where(counting, values, 0).max(axis=0, initial=0)
    return highest


def _lowest(values: Ints, counting: Flags) -> Ints:
    """The lowest over meters [slot] whose reading counts; 0 if none does."""
    lowest = np.where(counting, values, _NO_READING).min(axis=0, initial=_NO_READING)
    return np.where(lowest == _NO_READING, 0, lowest)
