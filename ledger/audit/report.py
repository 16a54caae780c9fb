"""What a verification found: named checks, each passed or failed with the first difference."""

from dataclasses import dataclass

from ledger.audit.comparison import Difference
from ledger.audit.epoch_record import Inheritance
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber


class VerificationFailedError(MismatchError):
    """An epoch does not recompute to what its ledger says."""

    code = "verify.epoch"
    default_hint = "keep it all as it is, replace what is named from another copy, then: ath-ledger audit verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold."""

    name: str
    """Stable: `totals`, `header.on-chain`."""
    rule: str
    """The rule of the specification it holds the epoch against."""
    difference: Difference | None
    """Where it does not hold; None when it does."""

    @property
    def passed(self) -> bool:
        """Whether it holds."""
        return self.difference is None

    def __str__(self) -> str:
        return f"{self.name} ({self.rule}): {'passed' if self.difference is None else self.difference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All checks of one epoch, in the order in which a result comes about: causes before consequences."""

    epoch: EpochNumber
    checks: tuple[Check, ...]
    is_anchored: bool
    """Whether the header was held against a chain, too; without it the ledger proves itself only."""
    inheritance: Inheritance | None
    """What the epoch leaves to the next, recomputed; None when it could not be recomputed."""

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold, the likeliest cause first."""
        return tuple(check for check in self.checks if not check.passed)

    def require(self) -> None:
        """Raise VerificationFailedError (exit code 4) with the first failed check, if there is any."""
        for check in self.failed:
            raise VerificationFailedError(f"epoch {self.epoch}, {check}")
