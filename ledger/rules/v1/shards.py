"""Cuts an epoch's evidence at node-id prefixes, so that scoring streams through bounded memory or fans out."""

from dataclasses import replace

import polars as pl

from ledger.evidence.judging.accepted import AcceptedEvidence


def shard(evidence: AcceptedEvidence, prefix: bytes) -> AcceptedEvidence:
    """The part of the evidence about nodes whose id starts with `prefix`; grid factors stay whole.

    The 256 shards of one byte, scored and combined, give what scoring the whole gives.
    """
    mine = pl.col("node_id").bin.starts_with(prefix)
    return replace(
        evidence,
        nodes=evidence.nodes.filter(mine),
        uptime=evidence.uptime.filter(mine),
        energy=evidence.energy.filter(mine),
        claims=evidence.claims.filter(mine),
    )
