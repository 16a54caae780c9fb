"""How much of each hour's load certificates match (R4.8, R2.24)."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.model.errors import InvariantError
from ledger.model.units import SECONDS_PER_HOUR
from ledger.rules.v1.placement import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits:
    """Credited Wh of all nodes."""

    tier1_wh: Ints
    """[node, hour]"""
    tier2_wh: Ints
    """[node]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Matched Wh of a run of nodes."""

    m1_wh: Ints
    """[node, hour]"""
    m2_wh: Ints
    """[node]"""


def credits_of(evidence: AcceptedEvidence, nodes: pl.DataFrame) -> Credits:
    """Sum credited certificates by node, tier 1 by its consumption hour too; claims for other nodes are left out."""
    numbered = nodes.select("node_id").with_row_index("owner")
    claims = evidence.claims.join(numbered, on="node_id", how="inner", maintain_order="left")
    owner = claims["owner"].to_numpy().astype(np.int64)
    credited = claims["credited_wh"].to_numpy()
    hourly = claims["tier"].to_numpy() == 1
    hour = (claims["consumption_hour"].to_numpy()[hourly] - evidence.window_start) // SECONDS_PER_HOUR
    if not ((hour >= 0) & (hour < evidence.hours)).all():
        raise InvariantError(f"epoch {evidence.epoch}: an hourly certificate is credited to an hour outside the epoch")
    tier1_wh = np.zeros((len(nodes), evidence.hours), dtype=np.int64)
    tier2_wh = np.zeros(len(nodes), dtype=np.int64)
    np.add.at(tier1_wh, (owner[hourly], hour), credited[hourly])
    np.add.at(tier2_wh, owner[~hourly], credited[~hourly])
    return Credits(tier1_wh=tier1_wh, tier2_wh=tier2_wh)


def match(load_wh: Ints, tier1_wh: Ints, tier2_wh: Ints) -> Matching:
    """Hourly certificates first, hour by hour; volumetric ones against what is left of the epoch."""
    m1_wh = np.minimum(load_wh, tier1_wh)
    m2_wh = np.minimum((load_wh - m1_wh).sum(axis=1), tier2_wh)
    return Matching(m1_wh=m1_wh, m2_wh=m2_wh)
