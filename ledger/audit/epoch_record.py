"""Everything an auditor is handed about one epoch, whoever hands it over: a ledger, a bundle, a backup.

Nothing in it is believed. `ledger.audit.verification` recomputes each part from the evidence and compares.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ledger.audit.details.rows import Details
from ledger.books.transfers import Transfer
from ledger.evidence.judging.frozen import FrozenEvidence
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.model.allocation import NodeStatement, Opening, Totals
from ledger.model.header import EpochHeader, Manifest
from ledger.model.policy import Tables
from ledger.model.units import ZERO_HASH, Address, Hash32, MicrogramsCo2e, NodeId, Wei

NOTHING_LEFT = Opening(rollover_in_wei=Wei(0), carried_in_ug=MicrogramsCo2e(0))
"""What the first epoch opens with (rewards spec R5.7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentEpoch:
    """What the epoch before left: the auditor takes it from that epoch's own, verified record.

    The defaults are what the first epoch starts from (encodings spec E2.8).
    """

    header_hash: Hash32 = ZERO_HASH
    seal_hash: Hash32 = ZERO_HASH
    """The parent header's ledgerHead."""
    used_ranges_root: Hash32 = ZERO_HASH
    opening: Opening = NOTHING_LEFT
    """Its rolloverOut and carriedOut."""
    cumulative_wei: Mapping[Address, Wei] = field(default_factory=dict)
    """Each operator's leaf in its claim tree; nothing for an operator that never earned."""
    tables: Tables | None = None
    """The tables it was computed with; None for the first epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRecord:
    """The journal entry that booked the epoch, as stored (encodings spec E6)."""

    number: int
    """Its place in the seal chain, from 1."""
    attempt: int
    previous_hash: Hash32
    canonical: bytes
    hash: Hash32
    transfers: tuple[Transfer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch: what went in, and what the ledger says came out."""

    evidence: FrozenEvidence
    parent: ParentEpoch
    totals: Totals
    statements: Iterable[NodeStatement | Mapping[str, object]]
    """Rows with the columns of `NodeStatement`, in any order."""
    leaves: tuple[tuple[Address, Wei], ...]
    """The claim tree's (account, cumulative)."""
    manifest: Manifest
    seal: SealRecord
    header: EpochHeader
    on_chain_header_hash: Hash32 | None
    """What the contract stores or emitted for the epoch; None when no chain was asked."""
    verdict_counts: Mapping[tuple[str, str], int] | None = None
    """How often each code was given to an `item`, a `record` and an `hour`, by (scope, code), '' for accepted; None:
    not told."""
    details: Details | None = None
    """The rows of the epoch's detail files as stored; None: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What an epoch leaves to the next one, as the auditor computed it: walk a ledger's epochs by passing it on."""

    parent: ParentEpoch
    used: UsedRegister
    """Certificates used so far: the next epoch's `FrozenEvidence.used`."""
    gpu_holders: Mapping[Hash32, NodeId]
    """The next epoch's `FrozenEvidence.previous_holders`."""
