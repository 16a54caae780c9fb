"""Accounts of the projection a page at a time, by name."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.books.trial_balance import Balance
from ledger.db.tables.journal import BalanceRow

_AFTER_HEX: Final = "g"
"""Sorts after every hexadecimal digit, in every collation."""
_BEHIND: Final = "z" * 8
"""Behind every rest of an account's name, in every collation."""


def account_page(session: Session, *, after: str | None, limit: int, begin: str = "") -> list[tuple[str, Balance]]:
    """Accounts whose names begin with `begin` (of letters, digits and slashes) and come after one, by name.

    The order is the database's own: a page continues it, nobody compares names elsewhere.
    """
    query = select(BalanceRow.account, BalanceRow.debits, BalanceRow.credits).order_by(BalanceRow.account).limit(limit)
    if after is not None:
        query = query.where(BalanceRow.account > after)
    if begin:
        # the range is what an index answers, LIKE what is meant
        query = query.where(BalanceRow.account >= begin, BalanceRow.account < begin + _BEHIND)
        query = query.where(BalanceRow.account.startswith(begin, autoescape=True))
    rows = session.execute(query)
    return [(account, Balance(debits=debits, credits=credits_)) for account, debits, credits_ in rows]


def operator_accounts(session: Session, *, from_address: str, limit: int) -> list[tuple[str, Balance]]:
    """Accounts of operators whose address (lower-case 0x-hex) is this one or a higher one, by name."""
    rows = session.execute(
        select(BalanceRow.account, BalanceRow.debits, BalanceRow.credits)
        .where(BalanceRow.account >= f"operator/{from_address}", BalanceRow.account < f"operator/0x{_AFTER_HEX}")
        .order_by(BalanceRow.account)
        .limit(limit)
    )
    return [(account, Balance(debits=debits, credits=credits_)) for account, debits, credits_ in rows]
