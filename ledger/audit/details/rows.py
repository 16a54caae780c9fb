"""The rows of an epoch's detail files, column by column as they are stored and exported.

No header commits to them, but every report and every explanation is made from them: so they are derived again from
the evidence and compared, like everything that is hashed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.model.units import Address, Hash32, NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was decided about an item (`record` −1), or about one of its records that did not count whole."""

    item: Hash32
    kind: str
    verifier: Address
    """The claimed signer."""
    schema: str
    record: int
    code: str
    """Empty: accepted."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedReading:
    """One meter's values for one hour, outside what the hardware can do (R2.10)."""

    node_id: NodeId
    verifier: Address
    hour: int
    """From the epoch's start."""
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneHour:
    """One hour of a zone with a node: the factors used and what they rest on, and its nodes' energy in Wh."""

    zone: str
    hour: int
    location_ef_mg: int
    residual_ef_mg: int
    estimated: bool
    no_residual_mix: bool
    missing: bool
    """No signed factor: the yearly one counts, or 10⁶."""
    it_wh: int
    load_wh: int
    charged_load_wh: int
    disputed_load_wh: int
    m1_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditedClaim:
    """One accepted certificate claim, and how many of its Wh were credited."""

    registry_id: Hash32
    issuance_id: Hash32
    range_start: int
    range_end: int
    device_id: Hash32
    device_capacity_w: int
    source: int
    tier: int
    zone: str
    production_start: int
    production_end: int
    node_id: NodeId
    consumption_hour: int
    beneficiary: Address
    cancelled_at: int
    cancellation_ref: Hash32
    verifier: Address
    credited_wh: int


Detail = Verdict | RefusedReading | ZoneHour | CreditedClaim
Details = Mapping[str, Sequence[Any]]
"""Rows by the name of their file."""

DETAIL_KINDS: Final[Mapping[str, type[Any]]] = {
    "claims-credited": CreditedClaim,
    "hours-refused": RefusedReading,
    "verdicts": Verdict,
    "zone-hours": ZoneHour,
}
"""The type of a row by the name of its file."""
