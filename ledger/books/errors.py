"""How the books refuse: a posting that cannot be right, or a journal that is not what it was."""

from ledger.model.errors import InvariantError, MismatchError


class PostingError(InvariantError):
    """A posting contradicts itself or the chart of accounts; nothing was booked."""

    code = "books.posting"


class BalanceRuleError(InvariantError):
    """A posting would leave an account where its rule forbids it to be; nothing was booked."""

    code = "books.balance-rule"
    default_hint = "ath-ledger audit trial-balance"


class IdempotencyConflictError(InvariantError):
    """A business key is already booked with another content; the epoch halts."""

    code = "books.idempotency-conflict"
    default_hint = "ath-ledger audit journal"


class JournalBrokenError(MismatchError):
    """The journal is not what was hashed; the first bad entry is named."""

    code = "books.journal-broken"
    default_hint = "stop writing, keep this database for evidence, restore from a backup or from the bundles"

    def __init__(self, seq: int, fault: str) -> None:
        super().__init__(f"journal entry seq {seq}: {fault}")
        self.seq = seq
        """The first entry that is not what was hashed."""
