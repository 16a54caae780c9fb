"""The published tables of facts that the demo network is built from, as integers."""

import csv
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files

from ledger.model.policy import ModelFigures
from ledger.model.units import SECONDS_PER_HOUR, Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRow:
    """So many nodes of one model and size; `model` is the reference model that stands for the trace's."""

    model: str
    gpus_per_node: int
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GridHour:
    """One zone's hour: life-cycle carbon intensity in mg CO2e/kWh, and whether the source estimated it."""

    location_ef: int
    is_estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPower:
    """One percentile of an eight-GPU server's power, and of SM activity in per mille."""

    server_w: int
    activity_permille: int


def read_text(name: str) -> str:
    """A file of ledger/data/figures."""
    return (files("ledger") / "data" / "figures" / name).read_text("utf-8")


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(read_text(name).splitlines()))


@cache
def fleet() -> tuple[FleetRow, ...]:
    """The Alibaba trace's 1,213 GPU nodes."""
    alias = {row["fleet_model"]: row["reference_model"] for row in _rows("model_alias.csv")}
    return tuple(
        FleetRow(model=alias[row["model"]], gpus_per_node=int(row["gpus_per_node"]), nodes=int(row["nodes"]))
        for row in _rows("fleet.csv")
    )


@cache
def models() -> dict[str, ModelFigures]:
    """Reference figures by model."""
    return {
        row["model"]: ModelFigures(
            tdp_w=int(row["tdp_w"]),
            capacity_milli=int(row["capacity_milli"]),
            ref_active_mw=int(row["ref_active_mw_per_gpu"]),
            ref_idle_mw=int(row["ref_idle_mw_per_gpu"]),
        )
        for row in _rows("gpu_reference.csv")
    }


@cache
def yearly_grid() -> dict[str, int]:
    """Yearly carbon intensity by country code, mg CO2e/kWh."""
    return {row["country_code"]: int(row["location_ef_mg_per_kwh"]) for row in _rows("country_grid.csv")}


@cache
def hourly_grid() -> dict[str, dict[Timestamp, GridHour]]:
    """Hourly carbon intensity by zone and first second of the hour."""
    zones: dict[str, dict[Timestamp, GridHour]] = {}
    for row in _rows("grid_hourly.csv"):
        start = Timestamp(int(datetime.fromisoformat(row["hour_start_utc"]).timestamp()))
        hour = GridHour(location_ef=int(row["location_ef_mg_per_kwh"]), is_estimated=row["estimated"] == "1")
        zones.setdefault(row["zone"], {})[start] = hour
    return zones


def grid_hour(zone: str, start: Timestamp) -> GridHour:
    """A zone's hour; outside the published three days the same hour of one of them, marked as estimated."""
    hours = hourly_grid()[zone]
    if start in hours:
        return hours[start]
    first = min(hours)
    place = (start - first) // SECONDS_PER_HOUR % len(hours)
    return GridHour(location_ef=hours[Timestamp(first + place * SECONDS_PER_HOUR)].location_ef, is_estimated=True)


@cache
def server_power() -> dict[int, ServerPower]:
    """Power and activity of AcmeTrace's eight-A100 servers by percentile, 1 to 99."""
    return {
        int(row["percentile"]): ServerPower(
            server_w=int(row["gpu_server_w_8xa100"]),
            # one decimal of a per cent: per mille without a float
            activity_permille=int(row["sm_activity_percent"].replace(".", "")),
        )
        for row in _rows("server_power_percentiles.csv")
    }
