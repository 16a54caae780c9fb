"""Everything that was accepted about one node, opened hour by hour.

The frames of accepted evidence are only iterated here; nothing is computed from their values. Records
that do not fit the epoch or name a node nobody registered cannot be there: acceptance refuses them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.errors import InvariantError
from ledger.model.units import SECONDS_PER_HOUR, Address, NodeId

MASK_BYTES = 8
ACTIVE_BYTES = 4
MILLIJOULE_BYTES = 8
IT_BYTES = 4
WATER_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one checker says about one hour of a node: bit m stands for minute m."""

    up: int
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One meter's values for one hour, as signed."""

    verifier: Address
    zone: str
    gpu_count: int
    pue_e4: int
    meter_class: int
    active_gpu_sec: int
    gpu_millijoule: int
    it_wh: int
    water_ml: int


@dataclass(slots=True, kw_only=True)
class Dossier:
    """One node's registration and what verifiers say about it, keyed by hour of the epoch (from 0)."""

    node_id: NodeId
    operator: Address
    model: str
    zone: str
    country: str
    gpu_count: int
    nameplate_w: int
    votes: dict[int, dict[bytes, Vote]] = field(default_factory=dict)
    """Hour → checker → vote: a checker has one voice however many of its records cover the hour (R2.2)."""
    capacity_checks: dict[bytes, set[int]] = field(default_factory=dict)
    """Checker → the results it reported: 0 not run, 1 pass, 2 fail."""
    readings: dict[int, list[Reading]] = field(default_factory=dict)
    tier1_wh: dict[int, int] = field(default_factory=dict)
    """Hour → Wh of hourly certificates credited for it."""
    tier2_wh: int = 0


def open_dossiers(evidence: AcceptedEvidence) -> list[Dossier]:
    """One dossier per registered node, ascending by node id.

    Raises InvariantError for a record outside the epoch or about a node without an active registration.
    """
    dossiers = {
        row["node_id"]: Dossier(
            node_id=NodeId(row["node_id"]),
            operator=Address(row["operator"]),
            model=row["model"],
            zone=row["zone"],
            country=row["country"],
            gpu_count=row["gpu_count"],
            nameplate_w=row["nameplate_w"],
        )
        for row in evidence.nodes.iter_rows(named=True)
    }
    for row in evidence.uptime.iter_rows(named=True):
        _file_votes(_dossier(dossiers, row), row, hours_of(evidence, row))
    for row in evidence.energy.iter_rows(named=True):
        _file_readings(_dossier(dossiers, row), row, hours_of(evidence, row))
    for row in evidence.claims.iter_rows(named=True):
        _file_certificate(_dossier(dossiers, row), row, evidence)
    return [dossiers[node_id] for node_id in sorted(dossiers)]


def hours_of(evidence: AcceptedEvidence, row: dict[str, Any]) -> range:
    """The epoch's hours a record covers (R0.5); InvariantError when they leave the epoch."""
    offset = row["window_start"] - evidence.window_start
    first = offset // SECONDS_PER_HOUR
    if offset % SECONDS_PER_HOUR or first < 0 or first + row["hours"] > evidence.hours:
        raise InvariantError(f"an accepted record at {row['window_start']} leaves epoch {evidence.epoch}")
    return range(first, first + row["hours"])


def hourly(packed: bytes, width: int) -> Iterator[int]:
    """The integers of an hourly array, first hour first (E1.6)."""
    return (int.from_bytes(packed[at : at + width], "big") for at in range(0, len(packed), width))


def _dossier(dossiers: dict[bytes, Dossier], row: dict[str, Any]) -> Dossier:
    found = dossiers.get(row["node_id"])
    if found is None:
        raise InvariantError(f"an accepted record names node 0x{row['node_id'].hex()}, which is not registered")
    return found


def _file_votes(dossier: Dossier, row: dict[str, Any], hours: range) -> None:
    masks = zip(hours, hourly(row["up_mask"], MASK_BYTES), hourly(row["seen_mask"], MASK_BYTES), strict=True)
    for hour, up, seen in masks:
        dossier.votes.setdefault(hour, {})[row["verifier"]] = Vote(up=up, seen=seen)
    dossier.capacity_checks.setdefault(row["verifier"], set()).add(row["capacity_check"])


def _file_readings(dossier: Dossier, row: dict[str, Any], hours: range) -> None:
    columns = zip(
        hours,
        hourly(row["active_gpu_sec"], ACTIVE_BYTES),
        hourly(row["gpu_millijoule"], MILLIJOULE_BYTES),
        hourly(row["it_wh"], IT_BYTES),
        hourly(row["water_ml"], WATER_BYTES),
        strict=True,
    )
    for hour, active_gpu_sec, gpu_millijoule, it_wh, water_ml in columns:
        reading = Reading(
            verifier=row["verifier"],
            zone=row["zone"],
            gpu_count=row["gpu_count"],
            pue_e4=row["pue_e4"],
            meter_class=row["meter_class"],
            active_gpu_sec=active_gpu_sec,
            gpu_millijoule=gpu_millijoule,
            it_wh=it_wh,
            water_ml=water_ml,
        )
        dossier.readings.setdefault(hour, []).append(reading)


def _file_certificate(dossier: Dossier, row: dict[str, Any], evidence: AcceptedEvidence) -> None:
    if row["tier"] == 2:
        dossier.tier2_wh += row["credited_wh"]
        return
    offset = row["consumption_hour"] - evidence.window_start
    hour = offset // SECONDS_PER_HOUR
    if offset % SECONDS_PER_HOUR or not 0 <= hour < evidence.hours:
        raise InvariantError(f"an accepted hourly certificate is for {row['consumption_hour']}, no hour of the epoch")
    dossier.tier1_wh[hour] = dossier.tier1_wh.get(hour, 0) + row["credited_wh"]
