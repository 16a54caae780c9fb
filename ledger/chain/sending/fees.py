"""What a transaction may cost: type-2 fees from the head's base fee, raised in bounded steps, under a cap."""

from dataclasses import dataclass
from typing import Final, Self

from ledger.chain.errors import FeeCapError

GWEI: Final = 10**9
_MIN_BUMP_PERCENT: Final = 10  # nodes refuse a replacement that pays less than this more


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """Per unit of gas, in the chain's smallest coin unit."""

    max_fee_wei: int
    priority_fee_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePolicy:
    """How fees are chosen. `fixed_fees` makes transactions repeat byte for byte on a local chain."""

    priority_fee_wei: int = GWEI
    cap_wei: int = 300 * GWEI
    bump_percent: int = 25
    bump_after_seconds: int = 180
    max_attempts: int = 8
    is_fixed: bool = False

    def __post_init__(self) -> None:
        if self.bump_percent < _MIN_BUMP_PERCENT:
            raise ValueError(f"a fee bump below {_MIN_BUMP_PERCENT} % is refused by nodes")

    @classmethod
    def fixed_fees(cls, max_fee_wei: int = 10 * GWEI, priority_fee_wei: int = GWEI) -> Self:
        """Always the same fees, whatever the base fee."""
        return cls(priority_fee_wei=priority_fee_wei, cap_wei=max_fee_wei, is_fixed=True)

    def first(self, base_fee_wei: int) -> Fee:
        """Fees of a first attempt: room for the base fee to double. Raises FeeCapError."""
        if self.cap_wei < base_fee_wei + self.priority_fee_wei:
            raise FeeCapError(
                f"the base fee is {base_fee_wei} wei; with a tip of {self.priority_fee_wei} it passes the cap "
                f"of {self.cap_wei}"
            )
        wanted = self.cap_wei if self.is_fixed else min(self.cap_wei, 2 * base_fee_wei + self.priority_fee_wei)
        return Fee(max_fee_wei=wanted, priority_fee_wei=self.priority_fee_wei)

    def bumped(self, before: Fee, base_fee_wei: int) -> Fee | None:
        """Fees that replace an earlier attempt, or None when the cap leaves no room for a valid bump."""
        least = Fee(
            max_fee_wei=before.max_fee_wei * (100 + self.bump_percent) // 100 + 1,
            priority_fee_wei=before.priority_fee_wei * (100 + self.bump_percent) // 100 + 1,
        )
        wanted = max(least.max_fee_wei, 2 * base_fee_wei + least.priority_fee_wei)
        if least.max_fee_wei > self.cap_wei:
            return None
        return Fee(max_fee_wei=min(wanted, self.cap_wei), priority_fee_wei=least.priority_fee_wei)
