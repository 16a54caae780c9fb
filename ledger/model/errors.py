"""One tree of errors. Each class has a stable code, an exit code and the next thing to do.

The text of an error says what was wrong and where; `hint` names the next command. A class says by
`retryable` whether the same call may succeed later without anybody changing anything.
"""

from typing import ClassVar


class LedgerError(Exception):
    """Something went wrong that a person can act on."""

    code: ClassVar[str] = "ledger.error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = "ath-ledger doctor"

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint if hint is not None else self.default_hint

    def __str__(self) -> str:
        return f"{self.code}: {self.what}. Next: {self.hint}" if self.hint else f"{self.code}: {self.what}"


class UsageError(LedgerError):
    """The call itself is not understood."""

    code = "usage.invalid"
    exit_code = 2
    default_hint = "ath-ledger --help"


class NotFoundError(LedgerError):
    """What was asked for is not in this ledger."""

    code = "ledger.not-found"
    exit_code = 3
    default_hint = "ath-ledger epoch list"


class MismatchError(LedgerError):
    """A verification found a difference."""

    code = "verify.mismatch"
    exit_code = 4


class EnvironmentFailure(LedgerError):  # noqa: N818 - a failure of the surroundings, not of the ledger
    """The chain, the database, a lock or the disk does not do its part."""

    code = "environment.failure"
    exit_code = 5
    retryable = True


class TransactionFailedError(LedgerError):
    """A transaction was reverted or dropped."""

    code = "transaction.failed"
    exit_code = 6


class RefusedError(LedgerError):
    """A rule, the policy or a role says no."""

    code = "rule.refused"
    exit_code = 7


class CancelledError(LedgerError):
    """The user stopped it."""

    code = "user.cancelled"
    exit_code = 8


class InvariantError(LedgerError):
    """A promise the ledger makes about itself does not hold. Work stops; nothing is booked."""

    code = "invariant.broken"
    exit_code = 1
