"""Whoever gets past the guards is found: every column of every booked row, deletions, insertions, swaps, the tail."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from ledger.books.errors import JournalBrokenError
from ledger.books.posting import Chain, EntryKind, Posting, entry_bytes, link
from ledger.db import journal
from ledger.db.engine import Database
from ledger.db.guards import remove_guards
from ledger.db.journal import BalancesDifferError
from ledger.model.units import Timestamp

UNHASHED = {"recorded_at"}
"""What a machine notes for itself is outside every hash."""


class Intruder:
    """Somebody with every right over the database, who took all guards off."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def do(self, statement: str, **values: Any) -> None:
        """One statement, committed; IntegrityError when a key of the database still refuses it."""
        try:
            self._connection.execute(text(statement), values)
        except DBAPIError:
            self._connection.rollback()
            raise
        self._connection.commit()

    def row(self, statement: str) -> Any:
        """One row of an answer."""
        found = self._connection.execute(text(statement)).one()
        self._connection.rollback()
        return tuple(bytes(value) if isinstance(value, memoryview) else value for value in found)

    def columns(self, table: str) -> list[str]:
        found = [column["name"] for column in inspect(self._connection).get_columns(table)]
        self._connection.rollback()
        return found


@pytest.fixture
def booked(database: Database, make_seal: Callable[..., Posting]) -> Database:
    with database.transaction() as session:
        for epoch in range(4):
            journal.append(session, make_seal(epoch), recorded_at=Timestamp(1))
    return database


@pytest.fixture
def intruder(booked: Database) -> Iterator[Intruder]:
    with booked.engine.begin() as connection:
        remove_guards(connection)
    with booked.engine.connect() as connection:
        if booked.dialect == "sqlite":
            connection.rollback()
            connection.exec_driver_sql("COMMIT")  # a pragma is ignored inside a transaction
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.rollback()
        else:
            connection.execute(text("SET session_replication_role = replica"))  # and no foreign key
            connection.commit()
        yield Intruder(connection)


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


@pytest.mark.row("tampering")
def test_every_byte_of_an_entry_is_covered(booked: Database, intruder: Intruder) -> None:
    """Somebody takes the guards off and flips one bit of an entry, column by column and byte by byte."""
    assert first_bad_seq(booked) is None
    for column in intruder.columns("journal_entries"):
        (value,) = intruder.row(f"SELECT {column} FROM journal_entries WHERE seq = 2")
        changed = variants(value)
        # the long canonical text in steps, everything else byte by byte
        for variant in changed[:: max(1, len(changed) // 40)]:
            where = variant if column == "seq" else 2
            try:
                intruder.do(f"UPDATE journal_entries SET {column} = :new WHERE seq = 2", new=variant)
            except DBAPIError:
                continue  # a key or a length that the database itself keeps
            expected = None if column in UNHASHED else 2
            assert first_bad_seq(booked) == expected, (column, variant)
            intruder.do(f"UPDATE journal_entries SET {column} = :old WHERE seq = :seq", old=value, seq=where)
    assert first_bad_seq(booked) is None


@pytest.mark.row("tampering")
def test_every_byte_of_a_transfer_is_covered(booked: Database, intruder: Intruder) -> None:
    """Somebody takes the guards off and flips one bit of a transfer, column by column and byte by byte."""
    for column in intruder.columns("transfers"):
        (value,) = intruder.row(f"SELECT {column} FROM transfers WHERE entry_seq = 3 AND line_no = 4")
        changed = variants(value)
        for variant in changed[:: max(1, len(changed) // 40)]:
            try:
                intruder.do(f"UPDATE transfers SET {column} = :new WHERE entry_seq = 3 AND line_no = 4", new=variant)
            except DBAPIError:
                continue
            # a line moved to the entry before makes that one wrong first
            assert first_bad_seq(booked) == (2 if (column, variant) == ("entry_seq", 2) else 3), (column, variant)
            place = {"entry_seq": 3, "line_no": 4} | ({column: variant} if column in {"entry_seq", "line_no"} else {})
            intruder.do(
                f"UPDATE transfers SET {column} = :old WHERE entry_seq = :entry_seq AND line_no = :line_no",
                old=value, **place,
            )  # fmt: skip
    assert first_bad_seq(booked) is None


@pytest.mark.row("tampering")
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
        (["UPDATE transfers SET line_no = line_no + 1000 WHERE entry_seq = 3 AND line_no IN (7, 8)",
          "UPDATE transfers SET line_no = 1015 - line_no WHERE line_no > 1000"], 3),
        ([("INSERT INTO journal_entries SELECT 5, chain, 5, 'k5', kind, effective_at, canonical, body_hash, hash,"
          " body_hash, transfer_count, recorded_at FROM journal_entries WHERE seq = 4")], 5),
    ],
    ids=["entry-gone", "entry-and-lines-gone", "last-entry-gone", "all-gone", "line-gone", "lines-gone", "line-added",
         "lines-of-no-entry", "entries-swapped", "lines-swapped", "entry-forged"],
)  # fmt: skip
def test_what_was_deleted_inserted_or_swapped_is_found(
    booked: Database, intruder: Intruder, statements: list[str], bad: int | None
) -> None:
    """Somebody takes the guards off and deletes, inserts or swaps entries and transfers."""
    for statement in statements:
        intruder.do(statement)
    if bad is None:
        with booked.reading() as session, pytest.raises(BalancesDifferError):
            journal.verify_journal(session)
    else:
        assert first_bad_seq(booked) == bad


def test_a_key_booked_twice_is_found_where_the_unique_key_was_taken_away(booked: Database, intruder: Intruder) -> None:
    intruder.do("CREATE TABLE copied AS SELECT * FROM journal_entries")
    intruder.do("DROP TABLE journal_entries" + (" CASCADE" if booked.dialect == "postgresql" else ""))
    intruder.do("ALTER TABLE copied RENAME TO journal_entries")
    (head,) = intruder.row("SELECT hash FROM journal_entries WHERE seq = 4")
    forged = Posting(chain=Chain.SEAL, key="epoch/1/seal/1", kind=EntryKind.SEAL, effective_at=Timestamp(0), body={})
    encoded = entry_bytes(forged.content(), 5)
    intruder.do(
        "INSERT INTO journal_entries VALUES (5, 'seal', 5, :key, 'seal', 0, :canonical, :body, :head, :hash, 0, 0)",
        key=forged.key, canonical=encoded.canonical, body=encoded.body_hash, head=head,
        hash=link(Chain.SEAL, head, encoded.canonical),
    )  # fmt: skip
    with booked.reading() as session, pytest.raises(JournalBrokenError, match="booked already") as caught:
        journal.verify_journal(session)
    assert caught.value.seq == 5


@pytest.mark.row("truncated tail")
def test_a_cut_tail_is_found_against_a_head_from_outside(booked: Database, intruder: Intruder) -> None:
    """The last two entries are gone with all that belongs to them: only a head from outside, as on chain, shows it."""
    with booked.reading() as session:
        head = journal.head(session, Chain.SEAL)
    for table, column in (("transfers", "entry_seq"), ("journal_entries", "seq")):
        intruder.do(f"DELETE FROM {table} WHERE {column} > 2")
    with booked.transaction() as session:
        journal.rebuild_balances(session)
    with booked.reading() as session:
        journal.verify_journal(session)  # by itself a shorter chain is a whole chain
        with pytest.raises(JournalBrokenError, match="known from outside is number 4") as caught:
            journal.verify_journal(session, expected={Chain.SEAL: head})
    assert caught.value.seq == 3


def test_a_forged_balance_is_found(booked: Database, intruder: Intruder) -> None:
    intruder.do("UPDATE balances SET credits = debits WHERE account = 'rollover' OR account LIKE 'operator/%'")
    with booked.reading() as session, pytest.raises(BalancesDifferError):
        journal.verify_journal(session)
