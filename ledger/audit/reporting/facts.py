"""What a report is computed from: what an epoch's seal commits to, what the vault did, and published grid figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ledger.model.allocation import Totals
from ledger.model.policy import Policy
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """One retirement of the carbon vault, as booked."""

    at: Timestamp
    retired_ug: MicrogramsCo2e
    payment_wei: Wei
    supplier: Address
    certificate_hash: Hash32
    uri: str
    transaction: Hash32
    project: str = ""
    """As the certificate says that the hash names; empty where no copy of it is on file."""
    serials: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRevocation:
    """A revocation that came after the freeze: disclosed, and without effect (R3.14)."""

    uid: Hash32
    signer: Address
    received_at: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochFacts:
    """One computed epoch. Frames are the epoch's artefacts with the columns they were written with."""

    epoch: EpochNumber
    state: str
    attempt: int
    start: Timestamp
    hours: int
    policy: Policy
    policy_version: int
    totals: Totals
    header_hash: Hash32
    """Of the header that stands for the epoch: its correction's, where its root was superseded."""
    statements: pl.DataFrame
    zone_hours: pl.DataFrame
    claims: pl.DataFrame
    verdicts: pl.DataFrame
    hours_refused: pl.DataFrame
    accepted_items: Mapping[str, int]
    """Accepted items by kind or schema."""
    late_revocations: Sequence[LateRevocation]
    retirements: Sequence[Retirement]
    """Those mined inside the epoch's window."""
    low_carbon_bps: Mapping[tuple[str, Timestamp], int]
    """The grid's carbon-free share by zone and first second of the hour, only where it is published."""
    is_corrected: bool = False
    """Whether its claim tree was superseded: who may claim what then differs from the statements."""
