"""The books as an auditor reads them: entries with their transfers, and balances replayed from the transfers alone."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ledger.books.accounts import kind_of
from ledger.books.posting import Chain, EntryKind
from ledger.books.transfers import Transfer
from ledger.books.trial_balance import Balance
from ledger.books.trial_balance import trial_balance as check_balances
from ledger.books.verify import JournalEntry
from ledger.db import journal
from ledger.db.row_kinds import kinds_named
from ledger.model.errors import MismatchError
from ledger.steps.ledger import Ledger
from ledger.tree.canonical import parse_canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFilter:
    """Which entries, by position over both chains (inclusive), chain, kind, business key, account or its prefix."""

    first: int = 1
    last: int | None = None
    chain: str | None = None
    kind: str | None = None
    key: str | None = None
    account: str | None = None

    def touches(self, transfer: Transfer) -> bool:
        """Whether the transfer moves what was asked for."""
        if self.account is None:
            return True
        sides = (transfer.debit, transfer.credit)
        if self.account.endswith("/"):
            return any(side.startswith(self.account) for side in sides)
        return self.account in sides


def journal_entries(ledger: Ledger, wanted: JournalFilter) -> list[dict[str, Any]]:
    """The entries with their transfers, by ascending seq; with an account, only its transfers."""
    with ledger.database.reading() as session:
        found = [
            _entry_fact(session, entry, wanted)
            for entry in journal.entries(
                session,
                chain=None if wanted.chain is None else Chain(wanted.chain),
                kind=None if wanted.kind is None else EntryKind(wanted.kind),
                after=wanted.first - 1,
                up_to=wanted.last,
            )
            if wanted.key is None or entry.key == wanted.key
        ]
    return [entry for entry in found if wanted.account is None or entry["transfers"]]


def flat_rows(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a transfer, with its entry's fields before it; an entry that moves nothing has one row."""
    nothing = dict.fromkeys(("line", "debit", "credit", "asset", "amount", "code"))
    rows = []
    for entry in entries:
        told = {name: entry[name] for name in ("seq", "chain", "number", "key", "kind", "effective_at")}
        rows += [told | transfer for transfer in entry["transfers"] or [nothing]]
    return rows


def trial_balance_rows(ledger: Ledger, as_of_seq: int | None) -> tuple[list[dict[str, Any]], list[str]]:
    """Accounts with their sums, a total for each asset, and what is wrong; nothing is taken from the projection."""
    with ledger.database.reading() as session:
        seq = journal.last_seq(session) if as_of_seq is None else as_of_seq
        balances = journal.balances(session, as_of_seq=seq)
        last = journal.entries(session, after=seq - 1, up_to=seq)
        at_seal = bool(last) and last[0].kind is EntryKind.SEAL
        found = check_balances(balances, at_seal=at_seal)
        violations = list(found.violations)
        if as_of_seq is None and balances != journal.balances(session):
            violations.append("the stored balances are not the sums of the transfers")
    rows = [_account_row(account, balance) for account, balance in found.accounts.items()]
    for asset in found.debits:
        total = Balance(debits=found.debits[asset], credits=found.credits[asset])
        rows.append({"account": f"total {asset}", "asset": asset.value, "rule": "", **_sums(total)})
    return rows, violations


def walk_journal(ledger: Ledger) -> list[tuple[str, int]]:
    """Walk both chains from their first entry; their names and lengths. JournalBrokenError names the first bad seq."""
    with ledger.database.reading() as session:
        try:
            with kinds_named(session):
                heads = journal.verify_journal(session)
        except ValueError as error:
            raise MismatchError(f"a stored value is none of the journal's words: {error}") from error
    return [(chain.value, head.number) for chain, head in heads.items()]


def _entry_fact(session: Session, entry: JournalEntry, wanted: JournalFilter) -> dict[str, Any]:
    lines = enumerate(journal.transfers(session, entry.seq))
    return {
        "seq": entry.seq,
        "chain": entry.chain.value,
        "number": entry.number,
        "key": entry.key,
        "kind": entry.kind.value,
        "effective_at": entry.effective_at,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
        "body": parse_canonical(entry.canonical)["body"],
        "transfers": [
            {
                "line": number,
                "debit": line.debit,
                "credit": line.credit,
                "asset": line.asset.value,
                "amount": str(line.amount),
                "code": line.code.value,
            }
            for number, line in lines
            if wanted.touches(line)
        ],
    }


def _account_row(account: str, balance: Balance) -> dict[str, Any]:
    kind = kind_of(account)
    return {"account": account, "asset": kind.asset.value, "rule": kind.rule.value, **_sums(balance)}


def _sums(balance: Balance) -> dict[str, str]:
    """Decimal strings: wei in ATH, micrograms in UGCO2E."""
    return {"debits": str(balance.debits), "credits": str(balance.credits), "balance": str(balance.net)}
