"""An outbox entry: one effect on chain, its signed attempts, and the states it passes through."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ledger.model.units import Address, Hash32, Timestamp, Wei


class OutboxState(StrEnum):
    """planned → signed → broadcast ⇄ mined → final | reverted | withdrawn; or conflicted → abandoned."""

    PLANNED = "planned"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    MINED = "mined"
    FINAL = "final"
    REVERTED = "reverted"
    """Mined, final, and refused by the contract: nothing moved but the fee."""
    VOIDING = "voiding"
    """A person withdrew it; an empty transaction is to use up its nonce."""
    WITHDRAWN = "withdrawn"
    CONFLICTED = "conflicted"
    """Another transaction used the nonce. Sending stops."""
    ABANDONED = "abandoned"
    """A conflict a person has looked at. The effect has not happened."""


OPEN_STATES: Final = frozenset(
    {OutboxState.PLANNED, OutboxState.SIGNED, OutboxState.BROADCAST, OutboxState.MINED, OutboxState.VOIDING}
)
SETTLED_STATES: Final = frozenset({OutboxState.FINAL, OutboxState.REVERTED, OutboxState.WITHDRAWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One signed transaction: the bytes as broadcast."""

    number: int
    voids: bool
    tx_hash: Hash32
    raw: bytes
    gas: int
    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int
    signed_at: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """One effect on chain and where it stands."""

    seq: int
    key: str
    chain_id: int
    sender: Address
    nonce: int
    recipient: Address
    value_wei: Wei
    calldata: bytes
    state: OutboxState
    tx_hash: Hash32 | None
    """The transaction the state speaks of."""
    block_number: int | None
    block_hash: Hash32 | None
    detail: str
    events: int
    """How many events led here: the version of the state."""
