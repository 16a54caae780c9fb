"""A policy: one version of all parameters, immutable once effective; and the tables it points to.

Bounds and steps are the contract's (rewards spec, policy); `violations` says which a policy breaks,
so that nobody has to ask the chain to learn it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from ledger.model.units import Bps, Hash32, Ppm, Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Every parameter, in the order and units in which the contract hashes them."""

    epoch_budget_wei: Wei
    reserve_bps: Bps
    carbon_cap_bps: Bps
    carbon_price_wei_per_tonne: Wei
    u_min_ppm: Ppm
    u_full_ppm: Ppm
    k_eff_bps: Bps
    s_clamp_ppm: Ppm
    pue_ref_e4: int
    g_match_bps: Bps
    t2_quality_bps: Bps
    g_grid_bps: Bps
    ref_ef_mg_per_kwh: int
    max_mult_ppm: Ppm
    quorum_q: int
    quorum_k: int
    count_nuclear: bool
    tables_hash: Hash32

    def violations(self, previous: "Policy | None" = None) -> Iterator[str]:
        """Each bound broken and, against the policy scheduled before, each step too large."""
        for name, low, high in _BOUNDS:
            value = getattr(self, name)
            if not low <= value <= high:
                yield f"{name} = {value} is outside [{low}, {high}]"
        if not self.u_min_ppm + 10_000 <= self.u_full_ppm:
            yield f"u_full_ppm = {self.u_full_ppm} is below u_min_ppm + 10000 = {self.u_min_ppm + 10_000}"
        if not self.quorum_k < 2 * self.quorum_q <= 2 * self.quorum_k:
            yield f"quorum {self.quorum_q} of {self.quorum_k} is no majority"
        if previous is None:
            return
        for name, step in _STEPS.items():
            old, new = getattr(previous, name), getattr(self, name)
            if abs(new - old) > step:
                yield f"{name} moves by {abs(new - old)}, at most {step} at once"
        for name, percent in _PERCENT_STEPS.items():
            old, new = getattr(previous, name), getattr(self, name)
            if 100 * abs(new - old) > percent * old:
                yield f"{name} moves from {old} to {new}, more than {percent} %"
        if self.epoch_budget_wei > previous.epoch_budget_wei:
            yield f"epoch_budget_wei rises from {previous.epoch_budget_wei} to {self.epoch_budget_wei}; it only falls"


_BOUNDS: tuple[tuple[str, int, int], ...] = (
    ("epoch_budget_wei", 0, 2**96 - 1),
    ("reserve_bps", 0, 3000),
    ("carbon_cap_bps", 0, 2000),
    ("carbon_price_wei_per_tonne", 10**18, 10**23),
    ("u_min_ppm", 500_000, 980_000),
    ("u_full_ppm", 510_000, 1_000_000),
    ("k_eff_bps", 0, 10_000),
    ("s_clamp_ppm", 0, 500_000),
    ("pue_ref_e4", 10_500, 20_000),
    ("g_match_bps", 0, 5000),
    ("t2_quality_bps", 0, 5000),
    ("g_grid_bps", 0, 1500),
    ("ref_ef_mg_per_kwh", 100_000, 1_000_000),
    ("max_mult_ppm", 1_000_000, 2_000_000),
    ("quorum_q", 2, 15),
    ("quorum_k", 3, 21),
)
_STEPS: Mapping[str, int] = {
    "reserve_bps": 100,
    "carbon_cap_bps": 100,
    "u_min_ppm": 10_000,
    "u_full_ppm": 10_000,
    "k_eff_bps": 500,
    "s_clamp_ppm": 50_000,
    "pue_ref_e4": 200,
    "g_match_bps": 250,
    "t2_quality_bps": 500,
    "g_grid_bps": 100,
    "ref_ef_mg_per_kwh": 25_000,
    "max_mult_ppm": 50_000,
}
_PERCENT_STEPS: Mapping[str, int] = {"epoch_budget_wei": 10, "carbon_price_wei_per_tonne": 20}

POLICY_FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Policy))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """One hardware model: what a GPU of it may draw, is worth, and draws at the reference."""

    tdp_w: int
    capacity_milli: int
    ref_active_mw: int
    ref_idle_mw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFigures:
    """One grid zone: the market its volumetric certificates come from, its yearly location-based factor."""

    market: str
    yearly_ef_mg_per_kwh: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What a policy's `tables_hash` stands for: the rules version and the figures per model and zone."""

    rules_version: str
    models: Mapping[str, ModelFigures]
    zones: Mapping[str, ZoneFigures]

    def violations(self, previous: "Tables") -> Iterator[str]:
        """Each figure that moves by more than 25 % between two policies' tables (R5.5); the chain cannot see it."""
        for name in sorted(self.models.keys() & previous.models.keys()):
            old, new = previous.models[name], self.models[name]
            for member in (field.name for field in fields(ModelFigures)):
                yield from _table_step(f"{member} of model {name}", getattr(old, member), getattr(new, member))
        for name in sorted(self.zones.keys() & previous.zones.keys()):
            before, after = previous.zones[name].yearly_ef_mg_per_kwh, self.zones[name].yearly_ef_mg_per_kwh
            if before is not None and after is not None:
                yield from _table_step(f"yearly_ef_mg_per_kwh of zone {name}", before, after)


_TABLE_STEP_PERCENT = 25


def _table_step(what: str, old: int, new: int) -> Iterator[str]:
    if 100 * abs(new - old) > _TABLE_STEP_PERCENT * old:
        yield f"{what} moves from {old} to {new}, more than {_TABLE_STEP_PERCENT} %"
