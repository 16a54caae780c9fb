"""What a reconciliation finds: one line a figure, agreeing or not, and which account a difference belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ledger.chain.node.connection import Block
from ledger.model.errors import MismatchError


class DifferencesFoundError(MismatchError):
    """The books and what they were held against differ."""

    code = "reconcile.differs"
    default_hint = "ath-ledger audit reconcile --book keeps it on record and stops new payouts; then ath-ledger doctor"


class Outcome(StrEnum):
    """How one comparison ended."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOTICE = "notice"
    """Nothing is wrong, but somebody should know."""
    NOT_LOOKED_AT = "not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison. Amounts are wei, or µg for the accounts of the asset UGCO2E, signed as on the account."""

    rule: str
    """R1 rows, R2 books, R3 chain totals, R4 operators, R5 recomputation."""
    what: str
    books: str
    found: str
    """What the other side says: the chain, the replayed transfers, the second calculator."""
    outcome: Outcome
    account: str = ""
    """Where the difference can be booked; empty where it is no amount, or follows from other ones."""
    difference: int = 0
    """found − books."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """All findings, and the state of books and chain they speak of."""

    block: Block
    """The pinned block: how far the books are final."""
    seq: int
    findings: Sequence[Finding]

    @property
    def differing(self) -> tuple[Finding, ...]:
        """Those that stop new payouts."""
        return tuple(each for each in self.findings if each.outcome is Outcome.DIFFERS)


def compared(rule: str, what: str, books: object, found: object) -> Finding:
    """Two values that must be the same and are no amounts."""
    outcome = Outcome.AGREES if books == found else Outcome.DIFFERS
    return Finding(rule=rule, what=what, books=str(books), found=str(found), outcome=outcome)


def amounts(rule: str, what: str, books: int, found: int, *, account: str = "") -> Finding:
    """Two amounts that must be the same."""
    outcome = Outcome.AGREES if books == found else Outcome.DIFFERS
    return Finding(
        rule=rule,
        what=what,
        books=str(books),
        found=str(found),
        outcome=outcome,
        account=account if outcome is Outcome.DIFFERS else "",
        difference=found - books,
    )


def covered(rule: str, what: str, books: int, found: int) -> Finding:
    """Money that must be there. More is a notice: anybody can send tokens, and must not be able to stop payouts."""
    outcome = Outcome.DIFFERS if found < books else Outcome.NOTICE if found > books else Outcome.AGREES
    return Finding(rule=rule, what=what, books=str(books), found=str(found), outcome=outcome, difference=found - books)
