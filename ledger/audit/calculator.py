"""The reference calculator: slow, plain, written a second time from docs/spec/rewards.md alone.

It takes one node at a time with Python's integers and fractions and shares no line with the production
rules; a payout counts as proved when both arrive at the same wei.
"""

from dataclasses import dataclass

from ledger.audit.allocation import CarveOuts, Shares, carve_out, lines_of, share_out
from ledger.audit.details.deriving import refused_readings, zone_hours
from ledger.audit.details.rows import RefusedReading, ZoneHour
from ledger.audit.dossier import Dossier, open_dossiers
from ledger.audit.energy import NodeEnergy, meter
from ledger.audit.formula import (
    Footprint,
    Saving,
    Uptime,
    capacity_of,
    footprint_of,
    multiplier_of,
    saving_of,
    uptime_of,
)
from ledger.audit.grid import GridFactors
from ledger.audit.quorum import NodeQuorum, settle
from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model import reasons
from ledger.model.allocation import NodeStatement, Opening, Totals
from ledger.model.errors import InvariantError
from ledger.model.policy import ModelFigures, Policy, Tables
from ledger.model.units import MicrogramsCo2e, Ppm, Wei, Wh


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """An epoch's result as the auditor arrives at it; statements ascending by node id."""

    totals: Totals
    statements: tuple[NodeStatement, ...]
    zone_hours: tuple[ZoneHour, ...]
    hours_refused: tuple[RefusedReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Score:
    """Everything about one node that is known before the pool is split."""

    dossier: Dossier
    quorum: NodeQuorum
    energy: NodeEnergy
    capacity: int
    uptime: Uptime
    saving: Saving
    footprint: Footprint
    multiplier: int

    @property
    def weight(self) -> int:
        """W (R4.11)."""
        return self.capacity * self.uptime.uptime * self.multiplier


def recompute(evidence: AcceptedEvidence, policy: Policy, tables: Tables, opening: Opening) -> Recomputation:
    """An epoch's totals and every node's statement, from accepted evidence (rewards spec R2 and R4).

    Raises InvariantError when the evidence holds what acceptance cannot have let through, or when the
    result does not conserve the budget.
    """
    grid = GridFactors(evidence, tables)
    scores = [
        _score(dossier, evidence.hours, _figures(dossier, tables), grid, policy) for dossier in open_dossiers(evidence)
    ]
    residual_ug = sum(score.footprint.residual_ug for score in scores)
    carved = carve_out(residual_ug, policy, opening)
    shares = share_out(carved.pool_wei, {score.dossier.node_id: score.weight for score in scores})
    totals = _totals(evidence, policy, opening, scores, carved, shares)
    if not totals.conserves:
        raise InvariantError(f"epoch {evidence.epoch} does not conserve its budget: {totals}")
    statements = tuple(_statement(score, shares.pay_wei[score.dossier.node_id], policy) for score in scores)
    metered = [(score.dossier, score.energy) for score in scores]
    return Recomputation(
        totals=totals,
        statements=statements,
        zone_hours=zone_hours(metered, grid, evidence.hours),
        hours_refused=refused_readings(metered),
    )


def _figures(dossier: Dossier, tables: Tables) -> ModelFigures:
    figures = tables.models.get(dossier.model)
    if figures is None:
        raise InvariantError(f"node 0x{dossier.node_id.hex()} has model {dossier.model!r}, unknown to the tables")
    return figures


def _score(dossier: Dossier, hours: int, figures: ModelFigures, grid: GridFactors, policy: Policy) -> _Score:
    quorum = settle(dossier, hours, policy.quorum_q)
    energy = meter(dossier, quorum, figures, policy)
    saving = saving_of(dossier, energy, figures, policy)
    footprint = footprint_of(dossier, energy, grid, policy)
    return _Score(
        dossier=dossier,
        quorum=quorum,
        energy=energy,
        capacity=capacity_of(dossier, quorum, figures, policy),
        uptime=uptime_of(quorum, policy),
        saving=saving,
        footprint=footprint,
        multiplier=multiplier_of(saving, footprint, policy),
    )


def _reasons(score: _Score, policy: Policy) -> str:
    """The codes of R4.24 whose condition is met."""
    quorum, energy = score.quorum, score.energy
    conditions = {
        reasons.ENERGY_DISPUTED: energy.disputed > 0,
        reasons.ENERGY_IMPLAUSIBLE: energy.implausible_hours > 0,
        reasons.ENERGY_MISSING: energy.charged > 0,
        reasons.CAPACITY_QUORUM: quorum.capacity_passes < policy.quorum_q,
        reasons.UNRESOLVED: quorum.is_in_doubt,
        reasons.VERIFIER_OUTAGE: quorum.resolved == 0,
    }
    return reasons.joined({code for code, is_met in conditions.items() if is_met})


def _totals(
    evidence: AcceptedEvidence,
    policy: Policy,
    opening: Opening,
    scores: list[_Score],
    carved: CarveOuts,
    shares: Shares,
) -> Totals:
    return Totals(
        epoch=evidence.epoch,
        budget_wei=policy.epoch_budget_wei,
        rollover_in_wei=opening.rollover_in_wei,
        reserve_wei=Wei(carved.reserve_wei),
        carbon_wei=Wei(carved.carbon_wei),
        pool_wei=Wei(carved.pool_wei),
        payout_wei=Wei(sum(shares.pay_wei.values())),
        rollover_out_wei=Wei(shares.rollover_out_wei),
        sum_weight=shares.sum_weight,
        left_over_wei=shares.left_over_wei,
        location_ug=MicrogramsCo2e(sum(score.footprint.location_ug for score in scores)),
        residual_ug=MicrogramsCo2e(sum(score.footprint.residual_ug for score in scores)),
        carried_in_ug=opening.carried_in_ug,
        carried_out_ug=MicrogramsCo2e(carved.carried_out_ug),
    )


def _statement(score: _Score, pay_wei: int, policy: Policy) -> NodeStatement:
    dossier, quorum, energy, footprint = score.dossier, score.quorum, score.energy, score.footprint
    lines = lines_of(pay_wei, score.saving.efficiency, score.multiplier)
    return NodeStatement(
        node_id=dossier.node_id,
        operator=dossier.operator,
        model=dossier.model,
        zone=dossier.zone,
        country=dossier.country,
        gpu_count=dossier.gpu_count,
        capacity_passes=quorum.capacity_passes,
        capacity_fails=quorum.capacity_fails,
        hours_resolved=quorum.resolved,
        hours_unresolved=quorum.unresolved,
        hours_unobserved=quorum.unobserved,
        up_minutes=quorum.up_minutes,
        expected_minutes=quorum.expected_minutes,
        hours_metered=energy.metered,
        hours_charged=energy.charged,
        hours_implausible=energy.implausible_hours,
        hours_disputed=energy.disputed,
        it_wh=Wh(sum(hour.it_wh for hour in energy.hours)),
        water_ml=sum(hour.water_ml for hour in energy.hours),
        ref_e4=score.saving.ref_e4,
        act_e4=score.saving.act_e4,
        load_wh=Wh(footprint.load_wh),
        m1_wh=Wh(footprint.m1_wh),
        m2_wh=Wh(footprint.m2_wh),
        tier1_wh=Wh(sum(dossier.tier1_wh.values())),
        tier2_wh=Wh(dossier.tier2_wh),
        avg_ef_mg=footprint.avg_ef_mg,
        capacity=score.capacity,
        u_ppm=Ppm(score.uptime.u_ppm),
        uptime=Ppm(score.uptime.uptime),
        s_ppm=score.saving.s_ppm,
        efficiency=Ppm(score.saving.efficiency),
        match_ppm=Ppm(footprint.match_ppm),
        grid_ppm=Ppm(footprint.grid_ppm),
        green=Ppm(footprint.green),
        multiplier=Ppm(score.multiplier),
        weight=score.weight,
        location_ug=MicrogramsCo2e(footprint.location_ug),
        residual_ug=MicrogramsCo2e(footprint.residual_ug),
        reasons=_reasons(score, policy),
        pay_wei=Wei(pay_wei),
        base_wei=Wei(lines.base_wei),
        efficiency_wei=Wei(lines.efficiency_wei),
        green_wei=Wei(lines.green_wei),
    )
