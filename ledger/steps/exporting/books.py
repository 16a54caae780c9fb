"""The whole journal with its transfers and balances as CSV, Parquet, Beancount or a read-only SQLite copy.

Amounts are exact in every form: decimal texts, and in Parquet a decimal128(38,0) column beside the text. Each
file is written beside its place and renamed when it is whole.
"""

import csv
import io
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from ledger.books.accounts import Asset, kind_of
from ledger.books.transfers import Transfer
from ledger.books.trial_balance import Balance
from ledger.books.verify import JournalEntry
from ledger.db import journal
from ledger.model.errors import InvariantError, RefusedError, UsageError
from ledger.model.units import to_hex
from ledger.steps.ledger import Ledger

DECIMAL_LIMIT: Final = 10**38
ENTRY_COLUMNS: Final = (
    "seq", "chain", "number", "key", "kind", "effective_at", "canonical", "body_hash", "previous_hash", "hash",
    "transfer_count",
)  # fmt: skip
TRANSFER_COLUMNS: Final = ("entry_seq", "line", "debit", "credit", "asset", "amount", "code")
BALANCE_COLUMNS: Final = ("account", "asset", "debits", "credits", "balance")
_NUMBERS: Final = frozenset({"seq", "number", "effective_at", "transfer_count", "entry_seq", "line"})
_AMOUNTS: Final = frozenset({"amount", "debits", "credits", "balance"})
COMMODITIES: Final = {Asset.ATH: "WEI", Asset.UGCO2E: "UGCO2E"}
_ROOTS: Final = (("emission", "Expenses"), ("pool", "Equity"), ("carbon/residual", "Expenses"))
"""Accounts Beancount sees as spent or own; everything else is owed to somebody."""


class AmountTooLargeError(RefusedError):
    """An amount has more than the 38 digits a Parquet decimal holds."""

    code = "export.amount"
    default_hint = "ath-ledger audit export-books --format sqlite, or csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The books as of one entry: every entry with its transfers, and the sums of all transfers."""

    entries: Sequence[tuple[JournalEntry, tuple[Transfer, ...]]]
    balances: dict[str, Balance]

    def tables(self) -> dict[str, tuple[Sequence[str], list[tuple[Any, ...]]]]:
        """Columns and rows by table; amounts and big numbers as integers."""
        return {
            "entries": (ENTRY_COLUMNS, [_entry_row(entry) for entry, _ in self.entries]),
            "transfers": (
                TRANSFER_COLUMNS,
                [
                    (entry.seq, line, each.debit, each.credit, each.asset.value, each.amount, each.code.value)
                    for entry, lines in self.entries
                    for line, each in enumerate(lines)
                ],
            ),
            "balances": (
                BALANCE_COLUMNS,
                [
                    (account, kind_of(account).asset.value, each.debits, each.credits, each.net)
                    for account, each in sorted(self.balances.items())
                ],
            ),
        }


def read_books(ledger: Ledger, as_of: int | None) -> Books:
    """The books as of an entry, or now."""
    with ledger.database.reading() as session:
        last = int(journal.last_seq(session)) if as_of is None else as_of
        found = journal.entries(session, up_to=last)
        entries = [(entry, journal.transfers(session, entry.seq)) for entry in found]
        return Books(entries=entries, balances=journal.balances(session, as_of_seq=last))


def export_books(books: Books, form: str, folder: Path) -> list[Path]:
    """Write the books into a folder; the files written. UsageError for another form, AmountTooLargeError."""
    writers: dict[str, Callable[[Books], dict[str, bytes]]] = {
        "csv": as_csv, "parquet": as_parquet, "beancount": as_beancount, "sqlite": as_sqlite,
    }  # fmt: skip
    if form not in writers:
        raise UsageError(f"{form!r} is none of {', '.join(writers)}", hint="ath-ledger audit export-books --help")
    files = writers[form](books)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in files.items():
        place = folder / name
        draft = place.with_name(f".{name}.{os.getpid()}")
        draft.write_bytes(content)
        if name.endswith(".sqlite"):
            draft.chmod(0o444)
        draft.replace(place)
        written.append(place)
    return written


def as_csv(books: Books) -> dict[str, bytes]:
    """One file a table."""
    files = {}
    for name, (columns, rows) in books.tables().items():
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        files[f"{name}.csv"] = out.getvalue().encode("utf-8")
    return files


def as_parquet(books: Books) -> dict[str, bytes]:
    """One file a table; `amount` is decimal128(38,0), `amount_text` says the same as text."""
    files = {}
    for name, (columns, rows) in books.tables().items():
        series = [made for at, column in enumerate(columns) for made in _series(column, [row[at] for row in rows])]
        buffer = io.BytesIO()
        pl.DataFrame(series).write_parquet(buffer, compression="zstd", statistics=False)
        files[f"{name}.parquet"] = buffer.getvalue()
    return files


def as_sqlite(books: Books) -> dict[str, bytes]:
    """A copy with plain tables, amounts as text, and a view that joins entries and transfers; Datasette opens it."""
    with closing(sqlite3.connect(":memory:")) as copy:
        for name, (columns, rows) in books.tables().items():
            kinds = ", ".join(f"{column} {'INTEGER' if column in _NUMBERS else 'TEXT'}" for column in columns)
            copy.execute(f"CREATE TABLE {name} ({kinds})")
            marks = ", ".join("?" for _ in columns)
            shown = [tuple(str(v) if c in _AMOUNTS else v for c, v in zip(columns, row, strict=True)) for row in rows]
            copy.executemany(f"INSERT INTO {name} VALUES ({marks})", shown)  # noqa: S608 - names of this module
        copy.execute("CREATE UNIQUE INDEX entries_by_seq ON entries (seq)")
        copy.execute("CREATE UNIQUE INDEX transfers_by_line ON transfers (entry_seq, line)")
        copy.execute(
            "CREATE VIEW journal AS SELECT e.seq, e.chain, e.key, e.kind, datetime(e.effective_at, 'unixepoch') AS"
            " effective, t.line, t.debit, t.credit, t.asset, t.amount, t.code"
            " FROM entries e LEFT JOIN transfers t ON t.entry_seq = e.seq ORDER BY e.seq, t.line"
        )
        copy.commit()
        return {"books.sqlite": copy.serialize()}


def as_beancount(books: Books) -> dict[str, bytes]:
    """Plain-text accounting: whole WEI and UGCO2E, a debit positive, and the balances asserted on the day after."""
    return {"books.beancount": ("\n".join(_beancount(books)) + "\n").encode("ascii")}


def beancount_account(account: str) -> str:
    """`operator/0x…/pending` → `Liabilities:Operator:0x…:Pending`."""
    root = next((root for prefix, root in _ROOTS if account == prefix), "Liabilities")
    parts = (part if part.startswith("0x") else part.capitalize() for part in account.split("/"))
    return ":".join((root, *parts))


def _beancount(books: Books) -> Iterator[str]:
    days = [_day(entry.effective_at) for entry, _ in books.entries]
    yield "; Amounts are whole wei (1 ATH = 10^18 WEI) and micrograms of CO2e. Debits are positive."
    yield 'option "title" "ATH Ledger"'
    yield 'option "operating_currency" "WEI"'
    yield ""
    for account in sorted(books.balances):
        yield f"{min(days)} open {beancount_account(account)} {COMMODITIES[kind_of(account).asset]}"
    for (entry, lines), day in zip(books.entries, days, strict=True):
        if not lines:
            continue
        yield ""
        yield f'{day} * "{entry.kind.value}" "{entry.key}"'
        yield f"  seq: {entry.seq}"
        yield f'  entryhash: "{to_hex(entry.hash)}"'
        for line in lines:
            unit = COMMODITIES[line.asset]
            yield f"  {beancount_account(line.debit)}  {line.amount} {unit}"
            yield f"  {beancount_account(line.credit)}  -{line.amount} {unit}"
    if days:
        yield ""
        after = _day(max(entry.effective_at for entry, _ in books.entries) + 86_400)
        for account, balance in sorted(books.balances.items()):
            yield f"{after} balance {beancount_account(account)}  {-balance.net} {COMMODITIES[kind_of(account).asset]}"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _entry_row(entry: JournalEntry) -> tuple[Any, ...]:
    return (
        int(entry.seq), entry.chain.value, entry.number, entry.key, entry.kind.value, int(entry.effective_at),
        entry.canonical.decode("utf-8"), to_hex(entry.body_hash), to_hex(entry.previous_hash), to_hex(entry.hash),
        entry.transfer_count,
    )  # fmt: skip


def _series(column: str, values: list[Any]) -> Iterator[pl.Series]:
    if column not in _AMOUNTS:
        yield pl.Series(column, values, dtype=pl.Int64 if column in _NUMBERS else pl.String)
        return
    if any(abs(value) >= DECIMAL_LIMIT for value in values):
        raise AmountTooLargeError(f"an amount in {column} has more than 38 digits")
    written = [str(value) for value in values]
    exact = pl.Series(column, values, dtype=pl.Int128).cast(pl.Decimal(38, 0))
    if [str(value) for value in exact.cast(pl.Int128).to_list()] != written:
        raise InvariantError(f"{column} did not survive as a decimal")
    yield exact
    yield pl.Series(f"{column}_text", written, dtype=pl.String)
