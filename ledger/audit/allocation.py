"""The split of one epoch's budget: carve-outs, shares to the wei, lines (rewards spec R4.13 to R4.20)."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from ledger.model.allocation import Opening
from ledger.model.errors import InvariantError
from ledger.model.policy import Policy
from ledger.model.units import BPS, MICROGRAMS_PER_TONNE, PPM, NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class CarveOuts:
    """What leaves the budget before nodes are paid, in wei, and the liability left unpaid, in µg."""

    reserve_wei: int
    carbon_wei: int
    pool_wei: int
    carried_out_ug: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What each node is paid, in wei."""

    pay_wei: Mapping[NodeId, int]
    sum_weight: int
    left_over_wei: int
    rollover_out_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What a payout is made of, in wei; the three sum to it."""

    base_wei: int
    efficiency_wei: int
    green_wei: int


def carve_out(residual_ug: int, policy: Policy, opening: Opening) -> CarveOuts:
    """Reserve, carbon, pool and carried liability (R4.13 to R4.16)."""
    budget, price = policy.epoch_budget_wei, policy.carbon_price_wei_per_tonne
    reserve = floor(Fraction(budget * policy.reserve_bps, BPS))
    owed_ug = residual_ug + opening.carried_in_ug
    cost = ceil(Fraction(owed_ug * price, MICROGRAMS_PER_TONNE))
    cap = floor(Fraction(budget * policy.carbon_cap_bps, BPS))
    carbon = min(cost, cap)
    paid_ug = floor(Fraction(carbon * MICROGRAMS_PER_TONNE, price))
    return CarveOuts(
        reserve_wei=reserve,
        carbon_wei=carbon,
        pool_wei=budget + opening.rollover_in_wei - reserve - carbon,
        carried_out_ug=max(0, owed_ug - paid_ug),
    )


def share_out(pool_wei: int, weights: Mapping[NodeId, int]) -> Shares:
    """The pool by weight, what flooring leaves over to the largest remainders (R4.17, R4.18)."""
    total = sum(weights.values())
    if total == 0:
        nothing = dict.fromkeys(weights, 0)
        return Shares(pay_wei=nothing, sum_weight=0, left_over_wei=0, rollover_out_wei=pool_wei)
    exact = {node: Fraction(pool_wei * weight, total) for node, weight in weights.items()}
    pay = {node: floor(share) for node, share in exact.items()}
    left_over = pool_wei - sum(pay.values())
    by_remainder = sorted(weights, key=lambda node: (pay[node] - exact[node], node))
    for node in by_remainder[:left_over]:
        pay[node] += 1
    if sum(pay.values()) != pool_wei:
        raise InvariantError(f"shares sum to {sum(pay.values())} wei, the pool has {pool_wei}")
    return Shares(pay_wei=pay, sum_weight=total, left_over_wei=left_over, rollover_out_wei=0)


def lines_of(pay_wei: int, efficiency: int, multiplier: int) -> Lines:
    """What of a payout is owed to E, what to G, what to neither (R4.20)."""
    green = floor(Fraction(pay_wei * (multiplier - min(multiplier, efficiency)), multiplier))
    rest = pay_wei - green
    saved = floor(Fraction(rest * (efficiency - PPM), efficiency)) if efficiency > PPM else 0
    return Lines(base_wei=rest - saved, efficiency_wei=saved, green_wei=green)
