"""Scores nodes: everything of a statement that does not depend on other nodes. Memory stays bounded by runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.errors import InvariantError
from ledger.model.policy import Policy, Tables
from ledger.model.units import EpochNumber
from ledger.rules.allocation import HOURS_REFUSED_COLUMNS, ZONE_HOUR_COLUMNS
from ledger.rules.statements import STATEMENT_COLUMNS
from ledger.rules.v1.energy import Energy, NodeFigures, measure
from ledger.rules.v1.factors import with_factors
from ledger.rules.v1.grid import GridFactors, grid_factors
from ledger.rules.v1.placement import Ints, Placement, Records
from ledger.rules.v1.quorum import Quorum, take_quorum
from ledger.rules.v1.renewable import Matching, credits_of, match
from ledger.rules.v1.widths import check_widths

_LINES = ("pay_wei", "base_wei", "efficiency_wei", "green_wei")
SCORE_COLUMNS = {name: kind for name, kind in STATEMENT_COLUMNS.items() if name not in _LINES}
_VOTES_PER_RUN = 2_000_000
"""Votes (node × hour × checker) laid out at once: 16 MB a mask."""
_LOADS = ("it_wh", "load_wh", "charged_load_wh", "disputed_load_wh", "m1_wh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What is known of a set of nodes before the budget is split."""

    epoch: EpochNumber
    nodes: pl.DataFrame
    """The statement's columns without the pay and its lines, ascending node_id."""
    hours_refused: pl.DataFrame
    zone_hours: pl.DataFrame


def score(evidence: AcceptedEvidence, policy: Policy, tables: Tables) -> Scores:
    """Score every node of the evidence, a shard or the whole; records about other nodes are not looked at."""
    check_widths(evidence, policy, tables)
    nodes = evidence.nodes.sort("node_id").join(_model_frame(tables), on="model", how="left", maintain_order="left")
    grid = grid_factors(evidence, tables)
    zone_of = _zone_numbers(nodes, grid)
    credited = credits_of(evidence, nodes)
    start, hours = evidence.window_start, evidence.hours
    votes = Records(evidence.uptime, nodes, key="node_id", window_start=start, hours=hours)
    readings = Records(evidence.energy, nodes, key="node_id", window_start=start, hours=hours)
    loads = {name: np.zeros(grid.location_mg.shape, dtype=np.int64) for name in _LOADS}
    scored = [pl.DataFrame(schema=SCORE_COLUMNS)]
    refused = [pl.DataFrame(schema=HOURS_REFUSED_COLUMNS)]
    step = max(1, _VOTES_PER_RUN // (hours * policy.quorum_k))
    for first in range(0, len(nodes), step):
        last = min(first + step, len(nodes))
        run, zone = nodes.slice(first, last - first), zone_of[first:last]
        seen = take_quorum(votes.run(first, last), q=policy.quorum_q, k=policy.quorum_k)
        metered = readings.run(first, last)
        energy = measure(metered, run, _figures(run), seen, policy.pue_ref_e4)
        tier1_wh, tier2_wh = credited.tier1_wh[first:last], credited.tier2_wh[first:last]
        matched = match(energy.load_wh, tier1_wh, tier2_wh)
        counted = run.with_columns(
            **_quorum_columns(seen),
            **_energy_columns(energy),
            **_carbon_columns(energy, matched, grid, zone),
            tier1_wh=tier1_wh.sum(axis=1),
            tier2_wh=tier2_wh,
        )
        scored.append(_typed(with_factors(counted, policy), SCORE_COLUMNS))
        refused.append(_refused_hours(metered, run, energy))
        _add_loads(loads, zone, energy, matched)
    return Scores(
        epoch=evidence.epoch,
        nodes=pl.concat(scored).rechunk(),
        hours_refused=pl.concat(refused),
        zone_hours=_zone_hours(grid, loads),
    )


def combine(parts: Iterable[Scores]) -> Scores:
    """Scores of disjoint sets of nodes as one; InvariantError if they are of two epochs, or none."""
    shards: Sequence[Scores] = list(parts)
    if len({part.epoch for part in shards}) != 1:
        raise InvariantError("scores of different epochs, or none at all, cannot be combined")
    factors = [name for name in ZONE_HOUR_COLUMNS if name not in ("zone", "hour", *_LOADS)]
    zone_hours = pl.concat([part.zone_hours for part in shards])
    return Scores(
        epoch=shards[0].epoch,
        nodes=pl.concat([part.nodes for part in shards]).sort("node_id"),
        hours_refused=pl.concat([part.hours_refused for part in shards]).sort("node_id", "verifier", "hour"),
        zone_hours=zone_hours.group_by("zone", "hour")
        .agg(pl.col(factors).first(), pl.col(_LOADS).sum())
        .sort("zone", "hour"),
    )


def _typed(frame: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def _model_frame(tables: Tables) -> pl.DataFrame:
    names = ("tdp_w", "capacity_milli", "ref_active_mw", "ref_idle_mw")
    rows = [
        {"model": model, **{name: getattr(figures, name) for name in names}} for model, figures in tables.models.items()
    ]
    return pl.DataFrame(rows, schema={"model": pl.String(), **dict.fromkeys(names, pl.Int64())})


def _figures(run: pl.DataFrame) -> NodeFigures:
    names = ("gpu_count", "nameplate_w", "tdp_w", "ref_active_mw", "ref_idle_mw")
    return NodeFigures(**{name: run[name].to_numpy().reshape(-1, 1) for name in names})


def _zone_numbers(nodes: pl.DataFrame, grid: GridFactors) -> Ints:
    numbered = grid.zones.with_row_index("number")
    joined = nodes.select("zone").join(numbered, on="zone", how="left", maintain_order="left")
    return joined["number"].to_numpy().astype(np.int64)


def _quorum_columns(seen: Quorum) -> dict[str, Ints]:
    """R2.4, R2.5, R2.8"""
    return {
        "capacity_passes": seen.capacity_passes,
        "capacity_fails": seen.capacity_fails,
        "hours_resolved": seen.resolved.sum(axis=1),
        "hours_unresolved": seen.unresolved.sum(axis=1),
        "hours_unobserved": seen.unobserved.sum(axis=1),
        "up_minutes": np.where(seen.resolved, seen.up_minutes, 0).sum(axis=1),
        "expected_minutes": np.where(seen.resolved, seen.known_minutes, 0).sum(axis=1),
    }


def _energy_columns(energy: Energy) -> dict[str, Ints]:
    return {
        "hours_metered": energy.metered.sum(axis=1),
        "hours_charged": energy.charged.sum(axis=1),
        "hours_implausible": energy.refused.any(axis=0).sum(axis=1),
        "hours_disputed": energy.disputed.sum(axis=1),
        "it_wh": energy.it_wh.sum(axis=1),
        "water_ml": energy.water_ml.sum(axis=1),
        "ref_e4": energy.ref_e4,
        "act_e4": energy.act_e4,
        "load_wh": energy.load_wh.sum(axis=1),
    }


def _carbon_columns(energy: Energy, matched: Matching, grid: GridFactors, zone: Ints) -> dict[str, Ints]:
    """R4.8, R4.12"""
    return {
        "m1_wh": matched.m1_wh.sum(axis=1),
        "m2_wh": matched.m2_wh,
        "location_ug": (energy.load_wh * grid.location_mg[zone]).sum(axis=1),
        "residual_ug": ((energy.load_wh - matched.m1_wh) * grid.residual_mg[zone]).sum(axis=1),
    }


def _refused_hours(readings: Placement, run: pl.DataFrame, energy: Energy) -> pl.DataFrame:
    node, slot, hour = np.nonzero(energy.refused.transpose(1, 0, 2))
    if not len(node):
        return pl.DataFrame(schema=HOURS_REFUSED_COLUMNS)
    signer, ids = readings.verifiers(), run["node_id"].to_list()
    return pl.DataFrame(
        {
            "node_id": [ids[owner] for owner in node.tolist()],
            "verifier": [signer[at] for at in zip(slot.tolist(), node.tolist(), strict=True)],
            "hour": hour,
            "code": ["energy.implausible"] * len(node),
        },
        schema=HOURS_REFUSED_COLUMNS,
    )


def _add_loads(loads: dict[str, Ints], zone: Ints, energy: Energy, matched: Matching) -> None:
    np.add.at(loads["it_wh"], zone, energy.it_wh)
    np.add.at(loads["load_wh"], zone, energy.load_wh)
    np.add.at(loads["charged_load_wh"], zone, np.where(energy.charged, energy.load_wh, 0))
    np.add.at(loads["disputed_load_wh"], zone, np.where(energy.disputed, energy.load_wh, 0))
    np.add.at(loads["m1_wh"], zone, matched.m1_wh)


def _zone_hours(grid: GridFactors, loads: dict[str, Ints]) -> pl.DataFrame:
    zones, hours = grid.location_mg.shape
    columns = {
        "zone": np.repeat(grid.zones["zone"].to_numpy(), hours),
        "hour": np.tile(np.arange(hours), zones),
        "location_ef_mg": grid.location_mg.ravel(),
        "residual_ef_mg": grid.residual_mg.ravel(),
        "estimated": grid.estimated.ravel(),
        "no_residual_mix": grid.no_residual_mix.ravel(),
        "missing": grid.missing.ravel(),
        **{name: load.ravel() for name, load in loads.items()},
    }
    return _typed(pl.DataFrame(columns), ZONE_HOUR_COLUMNS)
