"""The books a page at a time: entries, their transfers, accounts; and a trial balance in its totals."""

from typing import Any

from ledger.books.accounts import kind_of
from ledger.books.posting import Chain, EntryKind
from ledger.books.trial_balance import Balance
from ledger.books.trial_balance import trial_balance as check_balances
from ledger.db import journal
from ledger.db.account_pages import account_page as accounts_after
from ledger.db.journal_pages import EntryFilter, TransferFilter, entry_keys, entry_page, transfer_page
from ledger.model.errors import NotFoundError
from ledger.steps.ledger import Ledger
from ledger.tree.canonical import parse_canonical


class EntryUnknownError(NotFoundError):
    """The journal has no such entry."""

    code = "journal.no-such-entry"
    default_hint = "ath-ledger audit journal"


def entries_after(ledger: Ledger, wanted: EntryFilter, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Entries after a position, in order, without body and transfers."""
    with ledger.database.reading() as session:
        return [_entry(row) for row in entry_page(session, wanted, after=after, limit=limit)]


def entry_fact(ledger: Ledger, seq: int) -> dict[str, Any]:
    """One entry with its body. EntryUnknownError."""
    with ledger.database.reading() as session:
        found = entry_page(session, EntryFilter(first=seq, last=seq), after=seq - 1, limit=1)
    if not found:
        raise EntryUnknownError(f"the journal has no entry {seq}")
    return {**_entry(found[0]), "body": parse_canonical(found[0].canonical)["body"]}


def require_entry(ledger: Ledger, seq: int) -> None:
    """Raise EntryUnknownError for a position beyond the last entry; 0 is the one before the first."""
    with ledger.database.reading() as session:
        last = journal.last_seq(session)
    if seq > last:
        raise EntryUnknownError(f"the journal has no entry {seq}; the last one is {last}")


def transfers_after(
    ledger: Ledger, wanted: TransferFilter, *, after: tuple[int, int], limit: int
) -> list[dict[str, Any]]:
    """Transfers after an entry's line, in order, each with its entry's key."""
    with ledger.database.reading() as session:
        rows = transfer_page(session, wanted, after=after, limit=limit)
        keys = entry_keys(session, sorted({row.entry_seq for row in rows}))
    return [
        {
            "seq": row.entry_seq,
            "line": row.line_no,
            "key": keys.get(row.entry_seq, ""),
            "debit": row.debit,
            "credit": row.credit,
            "asset": row.asset,
            "amount": str(row.amount),
            "code": row.code,
        }
        for row in rows
    ]


def account_rows(ledger: Ledger, *, after: str | None, limit: int, begin: str = "") -> list[dict[str, Any]]:
    """Accounts after one, by name, with what they were debited and credited in all."""
    with ledger.database.reading() as session:
        found = accounts_after(session, after=after, limit=limit, begin=begin)
    return [_account(name, balance) for name, balance in found]


def balance_totals(ledger: Ledger, as_of_seq: int | None) -> dict[str, Any]:
    """The trial balance of all transfers up to an entry: totals by asset and whatever is wrong.

    Replayed from the transfers once for each position; what was found for a position never changes.
    """
    with ledger.database.reading() as session:
        seq = int(journal.last_seq(session)) if as_of_seq is None else as_of_seq
    found: dict[str, Any] = ledger.remembered.get(("balance totals", seq), lambda: _replayed(ledger, seq))
    return found


def _replayed(ledger: Ledger, seq: int) -> dict[str, Any]:
    with ledger.database.reading() as session:
        last = journal.entries(session, after=seq - 1, up_to=seq)
        at_seal = bool(last) and last[0].kind is EntryKind.SEAL
        found = check_balances(journal.balances(session, as_of_seq=seq), at_seal=at_seal)
    kinds: dict[str, Balance] = {}
    for account, balance in found.accounts.items():
        name = _kind_name(account)
        before = kinds.get(name, Balance(debits=0, credits=0))
        kinds[name] = Balance(debits=before.debits + balance.debits, credits=before.credits + balance.credits)
    return {
        "seq": seq,
        "accounts": len(found.accounts),
        "is_balanced": not found.violations,
        "violations": list(found.violations),
        "totals": [
            {"asset": asset.value, **_sums(Balance(debits=found.debits[asset], credits=found.credits[asset]))}
            for asset in found.debits
        ],
        "kinds": [
            {"kind": name, "asset": kind_of(_example(name)).asset.value, **_sums(balance)}
            for name, balance in sorted(kinds.items())
        ],
    }


def _entry(row: Any) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "chain": Chain(row.chain).value,
        "number": row.number,
        "key": row.key,
        "kind": EntryKind(row.kind).value,
        "effective_at": row.effective_at,
        "recorded_at": row.recorded_at,
        "previous_hash": row.previous_hash,
        "hash": row.hash,
        "transfers": row.transfer_count,
    }


def _account(name: str, balance: Balance) -> dict[str, Any]:
    kind = kind_of(name)
    return {"account": name, "asset": kind.asset.value, "rule": kind.rule.value, **_sums(balance)}


def _sums(balance: Balance) -> dict[str, str]:
    """Decimal strings: wei in ATH, micrograms in UGCO2E."""
    return {"debits": str(balance.debits), "credits": str(balance.credits), "balance": str(balance.net)}


def _kind_name(account: str) -> str:
    """`operator/*/payable` for every operator's payable; other accounts are a kind of their own."""
    first, _, rest = account.partition("/")
    return f"operator/*/{rest.partition('/')[2]}" if first == "operator" else account


def _example(kind: str) -> str:
    return kind.replace("*", "0x" + "00" * 20)
