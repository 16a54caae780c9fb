"""The books in other programs: nothing is lost, whoever reads them, and any moment can be asked for."""

import csv
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from ledger.books.accounts import Asset, TransferCode
from ledger.books.posting import Chain, EntryKind, Posting, content_hash, entry_bytes, link
from ledger.books.transfers import Transfer
from ledger.books.trial_balance import sum_transfers
from ledger.books.verify import JournalEntry
from ledger.cli.edge import run
from ledger.model.units import ZERO_HASH, Seq, Timestamp
from ledger.steps.exporting.books import AmountTooLargeError, Books, as_beancount, as_parquet, as_sqlite

USAGE, NOT_FOUND = 2, 3
LARGEST = 10**38 - 1
"""What 38 digits hold."""
Answer = tuple[int, str, str]
Ask = Callable[..., Answer]


@pytest.fixture
def ask(settled_example: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def do(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = run(["audit", *map(str, arguments), "--workspace", str(settled_example)])
        return code, *capsys.readouterr()

    return do


def exported(ask: Ask, folder: Path, form: str, *more: str) -> Path:
    code, _, err = ask("export-books", "--format", form, "--out", folder / form, *more)
    assert code == 0, err
    return folder / form


def booked(ask: Ask) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(ask("journal", "-o", "json")[1])["data"]
    return rows


def lines_of(entries: list[dict[str, Any]]) -> list[tuple[int, int, str, str, str, str, str]]:
    return [
        (entry["seq"], line["line"], line["debit"], line["credit"], line["asset"], line["amount"], line["code"])
        for entry in entries
        for line in entry["transfers"]
    ]


def books_with(amount: int) -> Books:
    transfer = Transfer("emission", "pool", amount, Asset.ATH, TransferCode.BUDGET)
    posting = Posting(
        chain=Chain.SEAL, key="k", kind=EntryKind.SEAL, effective_at=Timestamp(0), body={}, transfers=(transfer,)
    )
    canonical = entry_bytes(posting.content(), 1).canonical
    entry = JournalEntry(
        seq=Seq(1), chain=Chain.SEAL, number=1, key="k", kind=EntryKind.SEAL, effective_at=Timestamp(0),
        canonical=canonical, body_hash=content_hash(posting.content()), previous_hash=ZERO_HASH,
        hash=link(Chain.SEAL, ZERO_HASH, canonical), transfer_count=1,
    )  # fmt: skip
    return Books(entries=[(entry, (transfer,))], balances=sum_transfers([transfer]))


def test_csv_says_what_the_journal_says(ask: Ask, tmp_path: Path) -> None:
    rows = list(csv.DictReader((exported(ask, tmp_path, "csv") / "transfers.csv").read_text().splitlines()))
    assert [tuple(row.values()) for row in rows] == [tuple(map(str, line)) for line in lines_of(booked(ask))]


def test_polars_and_duckdb_read_every_wei_back(ask: Ask, tmp_path: Path) -> None:
    place = exported(ask, tmp_path, "parquet") / "transfers.parquet"
    expected = [line[5] for line in lines_of(booked(ask))]
    frame = pl.read_parquet(place)
    assert frame.schema["amount"] == pl.Decimal(38, 0)
    assert frame["amount_text"].to_list() == expected
    assert [str(int(value)) for value in frame["amount"].to_list()] == expected
    found = duckdb.execute(
        f"SELECT typeof(amount), amount::VARCHAR, amount_text FROM '{place}' ORDER BY entry_seq, line"
    )
    assert found.fetchall() == [("DECIMAL(38,0)", amount, amount) for amount in expected]


def test_the_largest_decimal_survives_and_a_larger_one_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "transfers.parquet"
    place.write_bytes(as_parquet(books_with(LARGEST))["transfers.parquet"])
    assert pl.read_parquet(place)["amount"].to_list() == [Decimal(LARGEST)]
    assert duckdb.execute(f"SELECT amount::VARCHAR FROM '{place}'").fetchall() == [(str(LARGEST),)]
    with pytest.raises(AmountTooLargeError):
        as_parquet(books_with(LARGEST + 1))
    assert str(LARGEST + 1).encode() in as_sqlite(books_with(LARGEST + 1))["books.sqlite"]


def test_the_sqlite_copy_is_read_only_and_says_the_same(ask: Ask, tmp_path: Path) -> None:
    place = exported(ask, tmp_path, "sqlite") / "books.sqlite"
    assert place.stat().st_mode & 0o222 == 0
    with closing(sqlite3.connect(f"file:{place}?mode=ro&immutable=1", uri=True)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("SELECT * FROM transfers ORDER BY entry_seq, line").fetchall() == lines_of(booked(ask))
        assert copy.execute("SELECT count(*) FROM journal WHERE amount IS NOT NULL").fetchone() == (
            len(lines_of(booked(ask))),
        )
        names = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    assert names == {"entries", "transfers", "balances", "journal"}


ACCOUNT = r"(?:Assets|Liabilities|Equity|Income|Expenses)(?::[A-Z0-9][A-Za-z0-9\-]*)+"
BEANCOUNT_LINES = re.compile(
    r"|".join(
        (
            r"", r";.*", r'option "[a-z_]+" "[^"]*"',
            rf"\d{{4}}-\d\d-\d\d open {ACCOUNT} (?:WEI|UGCO2E)",
            rf"\d{{4}}-\d\d-\d\d balance {ACCOUNT}  -?\d+ (?:WEI|UGCO2E)",
            r'\d{4}-\d\d-\d\d \* "[a-z]+" "[^"]+"',
            r"  seq: \d+", r'  entryhash: "0x[0-9a-f]{64}"',
            rf"  {ACCOUNT}  -?\d+ (?:WEI|UGCO2E)",
        )
    )
)  # fmt: skip


def test_beancounts_grammar_is_kept_and_its_balances_hold(ask: Ask, tmp_path: Path) -> None:
    """What bean-check looks at: known lines, opened accounts, transactions of zero, and the asserted balances."""
    lines = (exported(ask, tmp_path, "beancount") / "books.beancount").read_text().splitlines()
    opened, sums, open_sum = set(), dict[str, int](), dict[str, int]()
    for line in lines:
        assert BEANCOUNT_LINES.fullmatch(line), line
        words = line.split()
        if " open " in line:
            opened.add(words[2])
        elif " balance " in line:
            assert sums[words[2]] == int(words[3]), line
        elif re.fullmatch(rf"  {ACCOUNT}  -?\d+ .*", line):
            assert words[0] in opened
            sums[words[0]] = sums.get(words[0], 0) + int(words[1])
            open_sum[words[2]] = open_sum.get(words[2], 0) + int(words[1])
        else:
            assert not any(open_sum.values())
    assert set(sums) == opened
    assert as_beancount(Books(entries=[], balances={}))


def test_any_moment_of_the_books_can_be_asked_for(ask: Ask, tmp_path: Path) -> None:
    """Entry 2 is the seal: as of the epoch, and as of the second it was booked in."""
    everything = booked(ask)
    for given in (("--as-of", "2"), ("--as-of-epoch", "0")):
        code, out, err = ask("trial-balance", *given, "-o", "json")
        assert (code, "balanced as of seq 2" in err) == (0, True)
        assert [entry["seq"] for entry in json.loads(ask("journal", *given, "-o", "json")[1])["data"]] == [1, 2]
        assert not any(row["account"].endswith("/payable") for row in json.loads(out)["data"])
    far, early = ("--as-of-time", "2100-01-01"), ("--as-of-time", "1")
    assert json.loads(ask("journal", *far, "-o", "json")[1])["data"] == everything
    assert json.loads(ask("journal", *early, "-o", "json")[1])["data"] == []
    folder = exported(ask, tmp_path, "csv", "--as-of-epoch", "0")
    assert len((folder / "entries.csv").read_text().splitlines()) == 3


def test_a_time_falls_between_two_bookings(ask: Ask, settled_example: Path) -> None:
    with closing(sqlite3.connect(f"file:{settled_example}/ledger.sqlite?mode=ro", uri=True)) as raw:
        times = raw.execute("SELECT seq, recorded_at FROM journal_entries ORDER BY seq").fetchall()
    for seq, at in times:
        found = json.loads(ask("journal", "--as-of-time", str(at), "-o", "json")[1])["data"]
        assert found[-1]["seq"] == max(other for other, then in times if then <= at) >= seq


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("--as-of", "99"), USAGE),
        (("--as-of-epoch", "9"), NOT_FOUND),
        (("--as-of-time", "yesterday"), USAGE),
        (("--as-of", "1", "--as-of-epoch", "0"), USAGE),
    ],
)
def test_a_moment_that_is_none_is_refused(ask: Ask, given: tuple[str, ...], code: int) -> None:
    assert ask("trial-balance", *given)[0] == code
    assert ask("journal", *given)[0] == code
