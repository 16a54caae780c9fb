"""Refuses inputs outside the bounds under which 64-bit sums cannot wrap (R4.22), and policies outside R5.1.

Acceptance and the chain enforce these bounds already. They are tested again where the arithmetic relies
on them: a wrapped sum would pay somebody a wrong amount without a word.
"""

import polars as pl

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.errors import InvariantError
from ledger.model.policy import ModelFigures, Policy, Tables

MAX_HOURS = 168
MAX_GPUS = 72
MAX_NAMEPLATE_W_PER_GPU = 3000
MAX_FACTOR_MG = 2_000_000
MAX_TDP_W = 10_000
MAX_CAPACITY_MILLI = 1_000_000
MAX_REFERENCE_MW = 10_000_000
"""10 kW per GPU: with it Σref of 168 hours stays below 9·10¹⁸."""
MAX_CREDITED_WH = 2**62


def check_widths(evidence: AcceptedEvidence, policy: Policy, tables: Tables) -> None:
    """InvariantError naming the first bound that does not hold."""
    for violation in policy.violations():
        raise InvariantError(f"epoch {evidence.epoch}: the policy breaks its bounds: {violation}")
    if not 1 <= evidence.hours <= MAX_HOURS:
        raise InvariantError(f"epoch {evidence.epoch} has {evidence.hours} hours, not 1 to {MAX_HOURS}")
    for name, figures in tables.models.items():
        _check_model(name, figures)
    for name, zone in tables.zones.items():
        if zone.yearly_ef_mg_per_kwh is not None and not 0 <= zone.yearly_ef_mg_per_kwh <= MAX_FACTOR_MG:
            raise InvariantError(f"zone {name}: yearly factor {zone.yearly_ef_mg_per_kwh} exceeds {MAX_FACTOR_MG}")
    _check_nodes(evidence, tables)
    _check_claims(evidence)


def _check_model(name: str, figures: ModelFigures) -> None:
    sound = (
        1 <= figures.tdp_w <= MAX_TDP_W
        and 0 <= figures.capacity_milli <= MAX_CAPACITY_MILLI
        and 0 <= figures.ref_active_mw <= MAX_REFERENCE_MW
        and 0 <= figures.ref_idle_mw <= MAX_REFERENCE_MW
    )
    if not sound:
        raise InvariantError(f"model {name}: a figure of the tables is out of bounds: {figures}")


def _check_nodes(evidence: AcceptedEvidence, tables: Tables) -> None:
    nodes = evidence.nodes
    if nodes["node_id"].is_duplicated().any():
        raise InvariantError(f"epoch {evidence.epoch}: a node has two active registrations")
    unknown = sorted(set(nodes["model"].unique().to_list()) - set(tables.models))
    if unknown:
        raise InvariantError(f"epoch {evidence.epoch}: models without figures in the tables: {', '.join(unknown)}")
    gpus, nameplate = pl.col("gpu_count"), pl.col("nameplate_w")
    wide = nodes.filter(
        ~(gpus.is_between(1, MAX_GPUS) & nameplate.is_between(0, MAX_NAMEPLATE_W_PER_GPU * gpus)).fill_null(value=False)
    )
    if len(wide):
        raise InvariantError(
            f"node 0x{wide['node_id'][0].hex()}: {wide['gpu_count'][0]} GPUs and a nameplate of "
            f"{wide['nameplate_w'][0]} W are out of bounds"
        )


def _check_claims(evidence: AcceptedEvidence) -> None:
    credited = evidence.claims["credited_wh"]
    lowest = credited.min()
    if isinstance(lowest, int) and lowest <= 0:
        raise InvariantError(f"epoch {evidence.epoch}: a certificate is credited with {lowest} Wh")
    if evidence.claims.select(pl.col("credited_wh").cast(pl.Int128).sum()).item() > MAX_CREDITED_WH:
        raise InvariantError(f"epoch {evidence.epoch}: the credited certificates exceed {MAX_CREDITED_WH} Wh")
    if not evidence.claims["tier"].is_in([1, 2]).all():
        raise InvariantError(f"epoch {evidence.epoch}: an accepted certificate has a tier other than 1 and 2")
