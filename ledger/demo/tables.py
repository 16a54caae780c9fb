"""The demo's tables and the default policy (rewards spec R5.1)."""

from functools import cache

from ledger.demo.figures import hourly_grid, models, yearly_grid
from ledger.model.policy import Policy, Tables, ZoneFigures
from ledger.model.units import WEI_PER_ATH, Bps, Ppm, Wei
from ledger.tree.commitments import tables_hash

ZONE_COUNTRY = {"NO": "NO", "US-CAL-CISO": "US", "ES": "ES", "BR": "BR"}
"""Country of each zone that has hourly figures. Every other zone is a whole country."""

EUROPEAN_MARKET = (
    *("AT", "BE", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS"),
    *("IT", "LT", "LU", "LV", "NL", "NO", "PT", "SE", "SI", "SK"),
)
"""Countries whose guarantees of origin are traded in one market."""


def country_of(zone: str) -> str:
    """The country a zone lies in."""
    return ZONE_COUNTRY.get(zone, zone)


def market_of(country: str) -> str:
    """The market a country's volumetric certificates come from: Europe's, or its own."""
    return "EU-GO" if country in EUROPEAN_MARKET else country


@cache
def demo_tables() -> Tables:
    """All reference models; the four hourly zones and every country with a yearly figure.

    California's yearly factor is that of the United States: the table of countries has no finer one.
    """
    yearly = yearly_grid()
    return Tables(
        rules_version="v1",
        models=dict(sorted(models().items())),
        zones={
            zone: ZoneFigures(market=market_of(country_of(zone)), yearly_ef_mg_per_kwh=yearly[country_of(zone)])
            for zone in sorted({*hourly_grid(), *yearly})
        },
    )


DEFAULT_BUDGET_WEI = Wei(2_874_743 * WEI_PER_ATH)
"""What Aethir publishes: 10 % of 42 billion ATH over four years, a day."""


def default_policy(tables: Tables, *, epoch_budget_wei: Wei = DEFAULT_BUDGET_WEI) -> Policy:
    """The defaults of rewards spec R5.1 over the given tables."""
    return Policy(
        epoch_budget_wei=epoch_budget_wei,
        reserve_bps=Bps(1000),
        carbon_cap_bps=Bps(500),
        carbon_price_wei_per_tonne=Wei(800 * WEI_PER_ATH),
        u_min_ppm=Ppm(900_000),
        u_full_ppm=Ppm(990_000),
        k_eff_bps=Bps(5000),
        s_clamp_ppm=Ppm(400_000),
        pue_ref_e4=15_400,
        g_match_bps=Bps(2000),
        t2_quality_bps=Bps(2500),
        g_grid_bps=Bps(500),
        ref_ef_mg_per_kwh=475_000,
        max_mult_ppm=Ppm(1_500_000),
        quorum_q=3,
        quorum_k=5,
        count_nuclear=False,
        tables_hash=tables_hash(tables),
    )
