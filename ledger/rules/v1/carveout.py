"""Reserve, carbon carve-out, carried liability and pool (R4.13 to R4.16)."""

from dataclasses import dataclass

from ledger.model.allocation import Opening
from ledger.model.policy import Policy
from ledger.model.units import BPS, MICROGRAMS_PER_TONNE, MicrogramsCo2e, Wei, ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class CarveOut:
    """What the budget and the rollover are split into before nodes are paid."""

    reserve_wei: Wei
    carbon_wei: Wei
    pool_wei: Wei
    carried_out_ug: MicrogramsCo2e


def carve_out(policy: Policy, opening: Opening, residual_ug: int) -> CarveOut:
    """Set aside the reserve and the price of the residual emissions up to the cap; the rest is the nodes' pool."""
    budget, price = policy.epoch_budget_wei, policy.carbon_price_wei_per_tonne
    reserve = budget * policy.reserve_bps // BPS
    owed_ug = residual_ug + opening.carried_in_ug
    cap = budget * policy.carbon_cap_bps // BPS
    carbon = min(ceil_div(owed_ug * price, MICROGRAMS_PER_TONNE), cap)
    carried_out_ug = max(0, owed_ug - carbon * MICROGRAMS_PER_TONNE // price)
    return CarveOut(
        reserve_wei=Wei(reserve),
        carbon_wei=Wei(carbon),
        pool_wei=Wei(budget + opening.rollover_in_wei - reserve - carbon),
        carried_out_ug=MicrogramsCo2e(carried_out_ug),
    )
