"""The chart of accounts: every account's name, its asset, and the rule its balance obeys.

A balance is credits − debits. Assets are partitions: a transfer never crosses from one into the other.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from ledger.books.errors import PostingError
from ledger.model.units import Address, from_hex, to_hex


class Asset(StrEnum):
    """What is counted: ATH in wei, and micrograms of CO2e."""

    ATH = "ATH"
    UGCO2E = "UGCO2E"


class Rule(StrEnum):
    """What an account's balance may be after an entry."""

    SOURCE = "source"
    """Never above zero: money or carbon enters the books here."""
    NON_NEGATIVE = "non-negative"
    CLEARING = "clearing"
    """Zero after every entry."""
    DIFFERENCE = "difference"
    """Either sign, but zero at every seal."""


class TransferCode(StrEnum):
    """Why something was moved."""

    BUDGET = "budget"
    ROLLOVER_IN = "rollover-in"
    BASE = "base"
    EFFICIENCY = "efficiency"
    GREEN = "green"
    CARBON = "carbon"
    RESERVE = "reserve"
    ROLLOVER_OUT = "rollover-out"
    RESIDUAL = "residual"
    PAID_FOR = "paid-for"
    ACTIVATE = "activate"
    CLAIM = "claim"
    RETIRE = "retire"
    CORRECTION = "correction"
    REVERSAL = "reversal"
    SUSPENSE = "suspense"


BACKWARD_CODES: Final = frozenset({TransferCode.CORRECTION, TransferCode.REVERSAL, TransferCode.SUSPENSE})
"""The only codes that may credit a source or debit what is otherwise only credited."""

EMISSION: Final = "emission"
POOL: Final = "pool"
"""An epoch's budget and rollover meet here and leave as lines, carve-outs and rollover: zero after every entry."""
ROLLOVER: Final = "rollover"
CARBON_PENDING: Final = "carbon/pending"
CARBON_HELD: Final = "carbon/held"
CARBON_SPENT: Final = "carbon/spent"
RESERVE_PENDING: Final = "reserve/pending"
RESERVE_PAID: Final = "reserve/paid"
CORRECTIONS: Final = "corrections"
"""What a supersede took back and gave to nobody; it stays in the contract."""
SUSPENSE: Final = "suspense"
CARBON_RESIDUAL: Final = "carbon/residual"
CARBON_OWED: Final = "carbon/owed"
"""The liability carried from epoch to epoch: what the carve-outs have not paid for yet."""
CARBON_PAID_FOR: Final = "carbon/paid-for"
CARBON_RETIRED: Final = "carbon/retired"
CARBON_SUSPENSE: Final = "carbon/suspense"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKind:
    """What all accounts of one kind have in common."""

    asset: Asset
    rule: Rule
    one_way: bool = False
    """Moved in one direction only, except by `BACKWARD_CODES`: a source is only debited, others only credited."""


CHART: Final[dict[str, AccountKind]] = {
    EMISSION: AccountKind(asset=Asset.ATH, rule=Rule.SOURCE, one_way=True),
    POOL: AccountKind(asset=Asset.ATH, rule=Rule.CLEARING),
    ROLLOVER: AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE),
    "operator/*/pending": AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE),
    "operator/*/payable": AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE),
    "operator/*/claimed": AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE, one_way=True),
    CARBON_PENDING: AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE),
    CARBON_HELD: AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE),
    CARBON_SPENT: AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE, one_way=True),
    RESERVE_PENDING: AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE),
    RESERVE_PAID: AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE, one_way=True),
    CORRECTIONS: AccountKind(asset=Asset.ATH, rule=Rule.NON_NEGATIVE),
    SUSPENSE: AccountKind(asset=Asset.ATH, rule=Rule.DIFFERENCE),
    CARBON_RESIDUAL: AccountKind(asset=Asset.UGCO2E, rule=Rule.SOURCE, one_way=True),
    CARBON_OWED: AccountKind(asset=Asset.UGCO2E, rule=Rule.NON_NEGATIVE),
    CARBON_PAID_FOR: AccountKind(asset=Asset.UGCO2E, rule=Rule.NON_NEGATIVE),
    CARBON_RETIRED: AccountKind(asset=Asset.UGCO2E, rule=Rule.NON_NEGATIVE, one_way=True),
    CARBON_SUSPENSE: AccountKind(asset=Asset.UGCO2E, rule=Rule.DIFFERENCE),
}
"""Every kind of account; `*` stands for an operator's address in lower-case hex."""

_OPERATOR: Final = "operator/"
_ADDRESS_CHARS: Final = 42
# lower case only: upper-case hex would be a second name for the same account
_OPERATOR_ACCOUNT: Final = re.compile(r"operator/0x[0-9a-f]{40}/(pending|payable|claimed)")


def pending(operator: Address) -> str:
    """Sealed, not yet active on chain."""
    return f"{_OPERATOR}{to_hex(operator)}/pending"


def payable(operator: Address) -> str:
    """Active on chain, not yet claimed."""
    return f"{_OPERATOR}{to_hex(operator)}/payable"


def claimed(operator: Address) -> str:
    """Withdrawn by the operator."""
    return f"{_OPERATOR}{to_hex(operator)}/claimed"


def kind_of(account: str) -> AccountKind:
    """The kind an account belongs to. Raises PostingError for a name that is not in the chart."""
    return _kind_of(account)


@lru_cache(maxsize=65_536)
def _kind_of(account: str) -> AccountKind:
    operators = _OPERATOR_ACCOUNT.fullmatch(account)
    kind = CHART.get(f"operator/*/{operators[1]}" if operators else account)
    if kind is None or "*" in account:
        raise PostingError(f"no account {account!r} in the chart")
    return kind


def operator_of(account: str) -> Address | None:
    """Whose account it is; None for the ledger's own."""
    if not account.startswith(_OPERATOR):
        return None
    return Address(from_hex(account[len(_OPERATOR) : len(_OPERATOR) + _ADDRESS_CHARS], 20))


def rule_violations(account: str, balance: int, *, at_seal: bool) -> Iterator[str]:
    """Each rule of the account that this balance (credits − debits) breaks, in words."""
    match kind_of(account).rule:
        case Rule.SOURCE if balance > 0:
            yield f"{account} is a source and stands at +{balance}"
        case Rule.NON_NEGATIVE if balance < 0:
            yield f"{account} stands at {balance}, below zero"
        case Rule.CLEARING if balance != 0:
            yield f"{account} stands at {balance}, not cleared"
        case Rule.DIFFERENCE if balance != 0 and at_seal:
            yield f"{account} stands at {balance}; it must be zero at a seal"
