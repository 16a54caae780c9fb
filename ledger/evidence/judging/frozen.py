"""What acceptance reads and what it answers: the frozen evidence of an epoch, and the judgement on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ledger.evidence.items.batch import SignedBatch
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.revocation import SignedRevocation
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.judging.accepted import AcceptedEvidence
from ledger.evidence.judging.roles import RoleBook
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.model.epoch import EpochCalendar
from ledger.model.policy import Policy, Tables
from ledger.model.units import EpochNumber, Hash32, NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenEvidence:
    """Everything that may shape an epoch. The order within the sequences means nothing.

    `registrations` are those that arrived before the epoch's start, `batches` and `revocations` those
    that arrived before the freeze; `roles` are as of the roles block. `previous_holders` says which node
    a GPU id counted for in the epoch before, `used` what earlier epochs credited.
    """

    epoch: EpochNumber
    calendar: EpochCalendar
    domain: Domain
    roles: RoleBook
    roles_block: int
    roles_block_hash: Hash32
    policy: Policy
    tables: Tables
    registrations: Sequence[SignedRegistration]
    batches: Sequence[SignedBatch]
    revocations: Sequence[SignedRevocation]
    previous_holders: Mapping[Hash32, NodeId]
    used: UsedRegister
    signed: frozenset[Hash32] = frozenset()
    """Registrations whose digest and operator's signature were verified when they were read, by uid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was accepted, why the rest was not, and what the next epoch needs."""

    accepted: AcceptedEvidence
    verdicts: pl.DataFrame
    """`VERDICT_COLUMNS`: one row per item, one per record that was refused or credited in part."""
    evidence_root: Hash32
    registrations_root: Hash32
    used_after: UsedRegister
    used_ranges_root: Hash32
    gpu_holders: Mapping[Hash32, NodeId]
    """Which node each GPU id counts for in this epoch: the next epoch's `previous_holders`."""
