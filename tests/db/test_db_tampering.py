"""Whoever gets past the guards is found: every column of every booked row, deletions, insertions, swaps, the tail."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ledger.books.errors import JournalBrokenError
from ledger.books.posting import Chain, EntryKind, Posting, entry_bytes, link
from ledger.db import journal
from ledger.db.engine import Database
from ledger.db.journal import BalancesDifferError
from ledger.model.units import Timestamp

UNHASHED = {"recorded_at"}
"""What a machine notes for itself is outside every hash."""


@pytest.fixture
def booked(sqlite_database: Database, make_seal: Callable[..., Posting]) -> Database:
    with sqlite_database.transaction() as session:
        for epoch in range(4):
            journal.append(session, make_seal(epoch), recorded_at=Timestamp(1))
    return sqlite_database


@pytest.fixture
def tamper(booked: Database) -> Iterator[sqlite3.Connection]:
    """The file opened by somebody who drops every guard first."""
    path = Path(str(booked.engine.url.database))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        yield connection


def first_bad_seq(database: Database) -> int | None:
    with database.reading() as session:
        try:
            journal.verify_journal(session)
        except JournalBrokenError as error:
            return error.seq
    return None


def variants(value: Any) -> list[Any]:
    """The value with one bit of each byte flipped, or its neighbours."""
    match value:
        case bytes():
            return [value[:at] + bytes([byte ^ 1]) + value[at + 1 :] for at, byte in enumerate(value)] + [value[:-1]]
        case str():
            return [value[:at] + chr(ord(char) ^ 1) + value[at + 1 :] for at, char in enumerate(value)]
        case _:
            return [value + 1, value - 1]


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def test_every_byte_of_an_entry_is_covered(booked: Database, tamper: sqlite3.Connection) -> None:
    assert first_bad_seq(booked) is None
    for column in columns(tamper, "journal_entries"):
        (value,) = tamper.execute(f"SELECT {column} FROM journal_entries WHERE seq = 2").fetchone()
        changed = variants(value)
        # the long canonical text in steps, everything else byte by byte
        for variant in changed[:: max(1, len(changed) // 40)]:
            tamper.execute("BEGIN")
            where = variant if column == "seq" else 2
            try:
                tamper.execute(f"UPDATE journal_entries SET {column} = ? WHERE seq = 2", (variant,))
            except sqlite3.IntegrityError:
                tamper.execute("ROLLBACK")  # a neighbour's seq or number: uniqueness already refuses it
                continue
            tamper.execute("COMMIT")
            expected = None if column in UNHASHED else 2
            assert first_bad_seq(booked) == expected, (column, variant)
            tamper.execute(f"UPDATE journal_entries SET {column} = ? WHERE seq = ?", (value, where))
    assert first_bad_seq(booked) is None


def test_every_byte_of_a_transfer_is_covered(booked: Database, tamper: sqlite3.Connection) -> None:
    for column in columns(tamper, "transfers"):
        (rowid, value) = tamper.execute(
            f"SELECT rowid, {column} FROM transfers WHERE entry_seq = 3 AND line_no = 4"
        ).fetchone()
        changed = variants(value)
        for variant in changed[:: max(1, len(changed) // 40)]:
            try:
                tamper.execute(f"UPDATE transfers SET {column} = ? WHERE rowid = ?", (variant, rowid))
            except sqlite3.IntegrityError:
                continue
            # a line moved to the entry before makes that one wrong first
            assert first_bad_seq(booked) == (2 if (column, variant) == ("entry_seq", 2) else 3), (column, variant)
            tamper.execute(f"UPDATE transfers SET {column} = ? WHERE rowid = ?", (value, rowid))
    assert first_bad_seq(booked) is None


@pytest.mark.parametrize(
    ("statements", "bad"),
    [
        (["DELETE FROM journal_entries WHERE seq = 2"], 2),
        (["DELETE FROM journal_entries WHERE seq = 2", "DELETE FROM transfers WHERE entry_seq = 2"], 2),
        (["DELETE FROM journal_entries WHERE seq = 4"], 4),
        (["DELETE FROM journal_entries", "DELETE FROM transfers"], None),
        (["DELETE FROM transfers WHERE entry_seq = 3 AND line_no = 10"], 3),
        (["DELETE FROM transfers WHERE entry_seq = 3"], 3),
        ([("INSERT INTO transfers SELECT 3, 11, debit, credit, asset, amount, code FROM transfers"
          " WHERE entry_seq = 3 AND line_no = 5")], 3),
        ([("INSERT INTO transfers SELECT 9, line_no, debit, credit, asset, amount, code FROM transfers"
          " WHERE entry_seq = 3")], 9),
        (["UPDATE journal_entries SET seq = -seq WHERE seq IN (2, 3)",
          "UPDATE journal_entries SET seq = 5 + seq WHERE seq < 0"], 2),
        (["UPDATE transfers SET line_no = -line_no - 1 WHERE entry_seq = 3 AND line_no IN (7, 8)",
          "UPDATE transfers SET line_no = 14 + line_no + 2 WHERE line_no < 0"], 3),
        ([("INSERT INTO journal_entries SELECT 5, chain, 5, 'k5', kind, effective_at, canonical, body_hash, hash,"
          " zeroblob(32), transfer_count, recorded_at FROM journal_entries WHERE seq = 4")], 5),
    ],
    ids=["entry-gone", "entry-and-lines-gone", "last-entry-gone", "all-gone", "line-gone", "lines-gone", "line-added",
         "lines-of-no-entry", "entries-swapped", "lines-swapped", "entry-forged"],
)  # fmt: skip
def test_what_was_deleted_inserted_or_swapped_is_found(
    booked: Database, tamper: sqlite3.Connection, statements: list[str], bad: int | None
) -> None:
    for statement in statements:
        tamper.execute(statement)
    if bad is None:
        with booked.reading() as session, pytest.raises(BalancesDifferError):
            journal.verify_journal(session)
    else:
        assert first_bad_seq(booked) == bad


def test_a_key_booked_twice_is_found_where_the_unique_key_was_taken_away(
    booked: Database, tamper: sqlite3.Connection
) -> None:
    tamper.execute("CREATE TABLE copied AS SELECT * FROM journal_entries")
    tamper.execute("DROP TABLE journal_entries")
    tamper.execute("ALTER TABLE copied RENAME TO journal_entries")
    (head,) = tamper.execute("SELECT hash FROM journal_entries WHERE seq = 4").fetchone()
    forged = Posting(chain=Chain.SEAL, key="epoch/1/seal/1", kind=EntryKind.SEAL, effective_at=Timestamp(0), body={})
    encoded = entry_bytes(forged.content(), 5)
    row = (5, "seal", 5, forged.key, "seal", 0, encoded.canonical, encoded.body_hash, head,
           link(Chain.SEAL, head, encoded.canonical), 0, 0)  # fmt: skip
    tamper.execute("INSERT INTO journal_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    with booked.reading() as session, pytest.raises(JournalBrokenError, match="booked already") as caught:
        journal.verify_journal(session)
    assert caught.value.seq == 5


def test_a_cut_tail_is_found_against_a_head_from_outside(booked: Database, tamper: sqlite3.Connection) -> None:
    with booked.reading() as session:
        head = journal.head(session, Chain.SEAL)
    for table, column in (("transfers", "entry_seq"), ("journal_entries", "seq")):
        tamper.execute(f"DELETE FROM {table} WHERE {column} > 2")
    with booked.transaction() as session:
        journal.rebuild_balances(session)
    with booked.reading() as session:
        journal.verify_journal(session)  # by itself a shorter chain is a whole chain
        with pytest.raises(JournalBrokenError, match="known from outside is number 4") as caught:
            journal.verify_journal(session, expected={Chain.SEAL: head})
    assert caught.value.seq == 3


def test_a_forged_balance_is_found(booked: Database, tamper: sqlite3.Connection) -> None:
    tamper.execute("UPDATE balances SET credits = debits WHERE account = 'rollover' OR account LIKE 'operator/%'")
    with booked.reading() as session, pytest.raises(BalancesDifferError):
        journal.verify_journal(session)
