"""Operators a page at a time, by address: out of the books' projection, however many there are."""

from itertools import groupby
from typing import Any

from ledger.books.accounts import operator_of
from ledger.db.account_pages import operator_accounts
from ledger.model.units import Address, to_hex
from ledger.steps.answers.rewards import computed_only, life_cycle
from ledger.steps.ledger import Ledger

_ACCOUNTS_OF_ONE = 3
_LAST = 2**160 - 1


def operator_page(ledger: Ledger, *, after: Address | None, limit: int) -> list[dict[str, Any]]:
    """Operators after an address, each with what is pending, in the root, claimed and claimable."""
    if after is not None and int.from_bytes(after, "big") == _LAST:
        return []
    first = bytes(20) if after is None else (int.from_bytes(after, "big") + 1).to_bytes(20, "big")
    asked = _ACCOUNTS_OF_ONE * (limit + 1)
    with ledger.database.reading() as session:
        accounts = operator_accounts(session, from_address=to_hex(first), limit=asked)
        accrued = computed_only(ledger, session, after=after, limit=limit)
    by_operator = {
        operator: dict(rows) for operator, rows in groupby(accounts, key=lambda row: operator_of(row[0])) if operator
    }
    known = sorted(by_operator)
    if len(accounts) == asked:
        known = known[:-1]  # the last one's accounts may be cut off
    end = known[-1] if len(accounts) == asked else b"\xff" * 20
    merged = sorted({*known, *(each for each in accrued if first <= each <= end)})
    return [life_cycle(by_operator.get(each, {}), accrued, each) for each in merged[:limit]]
