"""An epoch's result: network totals and one statement per node, whoever computed it.

Production rules produce statements as columns, the auditor's calculator as rows; both carry the names
of `NodeStatement`, so that a comparison needs no translation.
"""

from dataclasses import dataclass

from ledger.model.units import Address, EpochNumber, MicrogramsCo2e, NodeId, Ppm, Wei, Wh


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the epoch before left to this one."""

    rollover_in_wei: Wei
    carried_in_ug: MicrogramsCo2e


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """One epoch's allocation. Always: payout + carbon + reserve + rollover_out = budget + rollover_in."""

    epoch: EpochNumber
    budget_wei: Wei
    rollover_in_wei: Wei
    reserve_wei: Wei
    carbon_wei: Wei
    pool_wei: Wei
    payout_wei: Wei
    rollover_out_wei: Wei
    sum_weight: int
    left_over_wei: int
    """How many wei the largest-remainder step handed out one each."""
    location_ug: MicrogramsCo2e
    residual_ug: MicrogramsCo2e
    carried_in_ug: MicrogramsCo2e
    carried_out_ug: MicrogramsCo2e

    @property
    def conserves(self) -> bool:
        """Whether every wei of the budget went somewhere."""
        spent = self.payout_wei + self.carbon_wei + self.reserve_wei + self.rollover_out_wei
        return spent == self.budget_wei + self.rollover_in_wei


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatement:
    """Why one node was paid what it was paid: inputs, factors, lines. Names follow the rewards spec."""

    node_id: NodeId
    operator: Address
    model: str
    zone: str
    country: str
    gpu_count: int
    # quorum
    capacity_passes: int
    capacity_fails: int
    hours_resolved: int
    hours_unresolved: int
    hours_unobserved: int
    up_minutes: int
    expected_minutes: int
    # energy, over the hours that count
    hours_metered: int
    """Hours with an accepted energy record of at least one meter."""
    hours_charged: int
    """Hours without one that are charged at the nameplate (`energy.missing`)."""
    hours_implausible: int
    """Hours in which at least one meter's reading was refused, whether another one's was accepted or not."""
    hours_disputed: int
    it_wh: Wh
    """Metered and charged."""
    water_ml: int
    ref_e4: int
    """Reference energy, mW·s·10⁴."""
    act_e4: int
    """Metered energy, mW·s·10⁴."""
    load_wh: Wh
    m1_wh: Wh
    m2_wh: Wh
    tier1_wh: Wh
    """Credited tier 1 certificates; what exceeds m1 is surplus."""
    tier2_wh: Wh
    avg_ef_mg: int
    """0 if there is no load."""
    # factors
    capacity: int
    """C, milli-H100."""
    u_ppm: Ppm
    uptime: Ppm
    """U."""
    s_ppm: int
    efficiency: Ppm
    """E."""
    match_ppm: Ppm
    grid_ppm: Ppm
    green: Ppm
    """G."""
    multiplier: Ppm
    """M."""
    weight: int
    """W."""
    location_ug: MicrogramsCo2e
    residual_ug: MicrogramsCo2e
    reasons: str
    """Codes of `ledger.model.reasons` that shaped the result, ascending, joined by a comma."""
    # lines, which sum to the payout
    pay_wei: Wei
    base_wei: Wei
    efficiency_wei: Wei
    green_wei: Wei
