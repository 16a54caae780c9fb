"""The trial balance: what every account was debited and credited, and which rules that breaks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ledger.books.accounts import Asset, kind_of, rule_violations
from ledger.books.transfers import Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One account's sums; both only ever grow."""

    debits: int
    credits: int

    @property
    def net(self) -> int:
        """credits − debits: what stands on the account."""
        return self.credits - self.debits


ZERO_BALANCE = Balance(debits=0, credits=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBalance:
    """The accounts in the order of their names, the debits and credits of each asset, and what is wrong."""

    accounts: Mapping[str, Balance]
    debits: Mapping[Asset, int]
    credits: Mapping[Asset, int]
    violations: tuple[str, ...]

    @property
    def is_balanced(self) -> bool:
        """Whether debits equal credits in every asset and no account breaks its rule."""
        return not self.violations


@dataclass(slots=True)
class Sums:
    """Running sums of transfers, exact, for replays of any length."""

    debits: dict[str, int] = field(default_factory=dict)
    credits: dict[str, int] = field(default_factory=dict)

    def add(self, transfer: Transfer) -> None:
        """Count one more transfer."""
        self.debits[transfer.debit] = self.debits.get(transfer.debit, 0) + transfer.amount
        self.credits[transfer.credit] = self.credits.get(transfer.credit, 0) + transfer.amount

    def balances(self) -> dict[str, Balance]:
        """What stands where, in the order of the accounts' names."""
        return {
            account: Balance(debits=self.debits.get(account, 0), credits=self.credits.get(account, 0))
            for account in sorted(self.debits.keys() | self.credits.keys())
        }


def sum_transfers(transfers: Iterable[Transfer]) -> dict[str, Balance]:
    """Every account's balance after these transfers."""
    sums = Sums()
    for transfer in transfers:
        sums.add(transfer)
    return sums.balances()


def trial_balance(balances: Mapping[str, Balance], *, at_seal: bool = False) -> TrialBalance:
    """Check balances against each other and against the chart.

    `at_seal` applies the rules that hold only directly after a seal: nothing in suspense.
    """
    debits, credits_ = dict.fromkeys(Asset, 0), dict.fromkeys(Asset, 0)
    violations: list[str] = []
    accounts = dict(sorted(balances.items()))
    for account, balance in accounts.items():
        asset = kind_of(account).asset
        debits[asset] += balance.debits
        credits_[asset] += balance.credits
        violations.extend(rule_violations(account, balance.net, at_seal=at_seal))
    violations.extend(
        f"{asset}: debits {debits[asset]} differ from credits {credits_[asset]}"
        for asset in Asset
        if debits[asset] != credits_[asset]
    )
    return TrialBalance(accounts=accounts, debits=debits, credits=credits_, violations=tuple(violations))
