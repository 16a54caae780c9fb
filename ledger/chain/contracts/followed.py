"""Which contracts are followed."""

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.chain.contracts.interface import ContractInterface
from ledger.model.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Which contracts to follow, and the first block that can hold an event of theirs."""

    contracts: Mapping[Address, ContractInterface]
    first_block: int
