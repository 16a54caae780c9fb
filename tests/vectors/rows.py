"""Rows of accepted evidence written by hand: readable names and minutes for bytes and masks."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import polars as pl

from ledger.evidence.items.columns import CLAIM_COLUMNS, ENERGY_COLUMNS, GRID_COLUMNS, UPTIME_COLUMNS
from ledger.evidence.judging.accepted import NODE_COLUMNS, AcceptedEvidence
from ledger.model.policy import Policy
from ledger.model.units import EpochNumber, Timestamp

Row = dict[str, Any]

DEFAULT_POLICY: Row = {
    "epoch_budget_wei": 2_874_743 * 10**18,
    "reserve_bps": 1000,
    "carbon_cap_bps": 500,
    "carbon_price_wei_per_tonne": 800 * 10**18,
    "u_min_ppm": 900_000,
    "u_full_ppm": 990_000,
    "k_eff_bps": 5000,
    "s_clamp_ppm": 400_000,
    "pue_ref_e4": 15_400,
    "g_match_bps": 2000,
    "t2_quality_bps": 2500,
    "g_grid_bps": 500,
    "ref_ef_mg_per_kwh": 475_000,
    "max_mult_ppm": 1_500_000,
    "quorum_q": 3,
    "quorum_k": 5,
    "count_nuclear": False,
    "tables_hash": bytes(32),
}


def policy_of(overrides: Mapping[str, Any]) -> Policy:
    """The specification's default policy with some fields replaced."""
    unknown = set(overrides) - {field.name for field in fields(Policy)}
    if unknown:
        raise ValueError(f"no policy fields: {sorted(unknown)}")
    values = {name: (int(value) if isinstance(value, str) else value) for name, value in overrides.items()}
    return Policy(**{**DEFAULT_POLICY, **values})


def node_id(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


def address(name: str) -> bytes:
    return name.encode().ljust(20, b"\0")


def masks(minutes: str) -> tuple[int, int]:
    """Up and seen mask of an hour written as runs (`30u20d10-`)."""
    up = seen = minute = 0
    if not re.fullmatch(r"(\d+[ud-])+", minutes):
        raise ValueError(f"not an hour's minutes: {minutes}")
    for count, state in re.findall(r"(\d+)([ud-])", minutes):
        run = ((1 << int(count)) - 1) << minute
        up |= run if state == "u" else 0
        seen |= run if state in "ud" else 0
        minute += int(count)
    if minute != 60:
        raise ValueError(f"{minutes} has {minute} minutes")
    return up, seen


def packed(values: list[Any], width: int) -> bytes:
    """Big-endian fixed-width integers, one per hour."""
    return b"".join(int(value).to_bytes(width, "big") for value in values)


def uptime_row(*, node: bytes, verifier: bytes, start: int, hours: list[tuple[int, int]], capacity: int) -> Row:
    """One uptime record; `hours` holds an up and a seen mask each."""
    return {
        "node_id": node,
        "window_start": start,
        "hours": len(hours),
        "up_mask": packed([up for up, _ in hours], 8),
        "seen_mask": packed([seen for _, seen in hours], 8),
        "capacity_check": capacity,
        "verifier": verifier,
    }


def energy_row(*, node: Row, verifier: bytes, start: int, reading: Mapping[str, Any]) -> Row:
    """One energy record of a node (a row of the nodes' frame); zone and GPU count are the node's unless given."""
    return {
        "node_id": node["node_id"],
        "window_start": start,
        "hours": len(reading["it_wh"]),
        "zone": reading.get("zone", node["zone"]),
        "gpu_count": reading.get("gpu_count", node["gpu_count"]),
        "pue_e4": reading["pue_e4"],
        "meter_class": reading["meter_class"],
        "active_gpu_sec": packed(reading["active_gpu_sec"], 4),
        "gpu_millijoule": packed(reading["gpu_millijoule"], 8),
        "it_wh": packed(reading["it_wh"], 4),
        "water_ml": packed(reading.get("water_ml", [0] * len(reading["it_wh"])), 4),
        "verifier": verifier,
    }


def claim_row(*, node: Row, tier: int, hour_start: int, credited_wh: int, serial: int) -> Row:
    """One credited certificate of its own issuance range, for a node's row."""
    return {
        "registry_id": b"registry".ljust(32, b"\0"),
        "issuance_id": b"issuance".ljust(32, b"\0"),
        "range_start": serial * 10**12,
        "range_end": serial * 10**12 + credited_wh - 1,
        "device_id": b"device".ljust(32, b"\0"),
        "device_capacity_w": 10**11,
        "source": 2,
        "tier": tier,
        "zone": node["zone"],
        "production_start": hour_start,
        "production_end": hour_start + 3600,
        "node_id": node["node_id"],
        "consumption_hour": hour_start,
        "beneficiary": node["operator"],
        "cancelled_at": hour_start + 7200,
        "cancellation_ref": b"cancellation".ljust(32, b"\0"),
        "verifier": address("registrar"),
        "credited_wh": credited_wh,
    }


def grid_row(
    *, zone: str, verifier: bytes, start: int, location: list[Any], residual: list[Any], flags: list[Any]
) -> Row:
    """One grid factor record."""
    return {
        "zone": zone,
        "window_start": start,
        "hours": len(location),
        "location_ef": packed(location, 4),
        "residual_ef": packed(residual, 4),
        "flags": packed(flags, 1),
        "verifier": verifier,
    }


def accepted(
    *,
    epoch: int,
    window_start: int,
    hours: int,
    nodes: list[Row],
    uptime: list[Row],
    energy: list[Row],
    claims: list[Row],
    grid: list[Row],
) -> AcceptedEvidence:
    """Evidence in the order and with the column types that acceptance promises."""
    signed = {"verifier": pl.Binary()}
    by_node = ["node_id", "verifier", "window_start"]
    claim_columns = {**CLAIM_COLUMNS, **signed, "credited_wh": pl.Int64()}
    return AcceptedEvidence(
        epoch=EpochNumber(epoch),
        window_start=Timestamp(window_start),
        hours=hours,
        nodes=pl.DataFrame(nodes, schema=NODE_COLUMNS).sort("node_id"),
        uptime=pl.DataFrame(uptime, schema={**UPTIME_COLUMNS, **signed}).sort(by_node),
        energy=pl.DataFrame(energy, schema={**ENERGY_COLUMNS, **signed}).sort(by_node),
        claims=pl.DataFrame(claims, schema=claim_columns).sort(
            ["registry_id", "issuance_id", "range_start", "node_id"]
        ),
        grid=pl.DataFrame(grid, schema={**GRID_COLUMNS, **signed}).sort(["zone", "verifier", "window_start"]),
    )
