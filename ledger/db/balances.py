"""The projection of the balances: moved with every entry, checked by the accounts' rules, rebuilt at any time.

Sums are taken in Python: SQLite's SUM over text is a float.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from ledger.books.accounts import CARBON_SUSPENSE, SUSPENSE, rule_violations
from ledger.books.errors import BalanceRuleError
from ledger.books.transfers import Transfer
from ledger.books.trial_balance import ZERO_BALANCE, Balance, sum_transfers
from ledger.db.schema import table_of
from ledger.db.tables.journal import BalanceRow

_TABLE: Final = table_of(BalanceRow)
_NAMES_AT_ONCE: Final = 500
_BEYOND: Final = 2**256
"""What no column holds."""
_DIFFERENCES: Final = (SUSPENSE, CARBON_SUSPENSE)


def stored_balances(session: Session, accounts: Sequence[str] | None = None) -> dict[str, Balance]:
    """The projection, of all accounts or of these, in the order of their names. Accounts never moved are absent."""
    found: dict[str, Balance] = {}
    # columns, not objects: an object seen before the append lock would hide what another process booked since
    query = select(BalanceRow.account, BalanceRow.debits, BalanceRow.credits)
    for chunk in _chunks(accounts):
        rows = session.execute(query if chunk is None else query.where(BalanceRow.account.in_(chunk)))
        found |= {account: Balance(debits=debits, credits=credits_) for account, debits, credits_ in rows}
    return dict(sorted(found.items()))


def move_balances(session: Session, transfers: Sequence[Transfer], *, at_seal: bool, key: str) -> None:
    """Add an entry's transfers to the projection.

    Raises BalanceRuleError when an account would stand where its rule forbids; at a seal nothing may be
    left in suspense. The caller holds the append lock.
    """
    moved = sum_transfers(transfers)
    looked_at = sorted(moved.keys() | set(_DIFFERENCES)) if at_seal else list(moved)
    before = stored_balances(session, looked_at)
    after = {
        account: _added(before.get(account, ZERO_BALANCE), moved.get(account, ZERO_BALANCE)) for account in looked_at
    }
    violations = [
        violation
        for account, balance in after.items()
        for violation in rule_violations(account, balance.net, at_seal=at_seal)
    ]
    violations += [
        f"{account} would have moved more than 2^256-1 in all"
        for account, balance in after.items()
        if max(balance.debits, balance.credits) >= _BEYOND
    ]
    if violations:
        raise BalanceRuleError(f"{key}: {'; '.join(violations[:5])}")
    _insert(session, {account: after[account] for account in moved if account not in before})
    known = [
        {"at": account, "new_debits": after[account].debits, "new_credits": after[account].credits}
        for account in moved
        if account in before
    ]
    if known:
        change = update(_TABLE).where(_TABLE.c.account == bindparam("at"))
        change = change.values(debits=bindparam("new_debits"), credits=bindparam("new_credits"))
        session.connection().execute(change, known)


def replace_balances(session: Session, balances: Mapping[str, Balance]) -> None:
    """Make the projection anew."""
    session.execute(delete(_TABLE))
    _insert(session, balances)


def _insert(session: Session, balances: Mapping[str, Balance]) -> None:
    rows = [
        {"account": account, "debits": balance.debits, "credits": balance.credits}
        for account, balance in balances.items()
    ]
    if rows:
        session.connection().execute(insert(_TABLE), rows)


def _added(before: Balance, change: Balance) -> Balance:
    return Balance(debits=before.debits + change.debits, credits=before.credits + change.credits)


def _chunks(accounts: Sequence[str] | None) -> Iterator[Sequence[str] | None]:
    if accounts is None:
        yield None
        return
    for start in range(0, len(accounts), _NAMES_AT_ONCE):
        yield accounts[start : start + _NAMES_AT_ONCE]
