"""Rows written as lines come back as the same rows, on either engine and from one to the other; broken lines do not."""

from collections.abc import Callable, Iterator

import pytest
from sample_rows import ROWS
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from ledger.books.posting import Posting
from ledger.db import journal, migrations
from ledger.db.engine import Database, open_database
from ledger.db.row_lines import LineUnreadableError, is_empty, kept_tables, load_rows, row_lines
from ledger.db.schema import Base
from ledger.model.units import Timestamp

ENGINES = ("sqlite", "postgresql")
LARGEST = {"value_wei": 2**256 - 1, "effective_epoch": 2**64 - 1}


def all_lines(database: Database) -> dict[str, list[bytes]]:
    with database.reading() as session:
        return {table.name: list(row_lines(session, table)) for table in kept_tables()}


@pytest.fixture(params=ENGINES)
def other(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Iterator[Database]:
    """A second ledger, empty, once on each engine."""
    made = open_database(new_url(request.param), create=True)
    migrations.upgrade(made)
    yield made
    made.close()


@pytest.fixture
def written(database: Database) -> dict[str, list[bytes]]:
    with database.transaction() as session:
        for table in kept_tables():
            row = ROWS.get(table.name)
            if row is not None:
                session.execute(insert(table), row | {k: v for k, v in LARGEST.items() if k in table.columns})
    return all_lines(database)


def test_every_table_comes_back_row_for_row_on_either_engine(written: dict[str, list[bytes]], other: Database) -> None:
    assert {name: len(lines) - 1 for name, lines in written.items()} == {
        table.name: int(table.name in ROWS) for table in kept_tables()
    }
    with other.transaction() as session:
        assert is_empty(session)
        load_rows(session, written)
        assert not is_empty(session)
    assert all_lines(other) == written
    migrations.check(other)


def test_text_is_in_the_order_of_its_bytes(database: Database) -> None:
    names = ["b", "B", "a", "A", "é", "Z/"]
    zero = "0" * 78
    with database.transaction() as session:
        for name in names:
            session.execute(text(f"INSERT INTO balances VALUES ('{name}', '{zero}', '{zero}')"))
    assert all_lines(database)["balances"][1:] == [
        f'["{name}","0","0"]\n'.encode() for name in sorted(names, key=str.encode)
    ]


def test_what_was_loaded_is_guarded_and_goes_on_counting(written: dict[str, list[bytes]], other: Database) -> None:
    with other.transaction() as session:
        load_rows(session, written)
    with pytest.raises(DBAPIError, match="append-only"), other.engine.begin() as connection:
        connection.execute(text("DELETE FROM chain_reorgs"))
    again = {name: value for name, value in ROWS["chain_reorgs"].items() if name != "seq"}
    with other.transaction() as session:
        session.execute(insert(Base.metadata.tables["chain_reorgs"]), again)
    with other.reading() as session:
        assert session.execute(text("SELECT max(seq) FROM chain_reorgs")).scalar_one() == 2


def test_a_journal_moved_to_the_other_engine_walks_and_grows(
    database: Database, other: Database, make_seal: Callable[..., Posting]
) -> None:
    with database.transaction() as session:
        for epoch in range(3):
            journal.append(session, make_seal(epoch), recorded_at=Timestamp(1))
    with other.transaction() as session:
        load_rows(session, all_lines(database))
    for each in (database, other):
        with each.transaction() as session:
            journal.append(session, make_seal(3), recorded_at=Timestamp(1))
    with database.reading() as one, other.reading() as two:
        assert journal.verify_journal(one) == journal.verify_journal(two)


@pytest.mark.parametrize(
    "line",
    [b"[1]\n", b"{}\n", b"not json\n", b'["a","b","c"]\n', b'["a","x","0"]\n', b"null\n"],
)
def test_a_line_that_is_no_row_is_named_and_nothing_is_kept(sqlite_database: Database, line: bytes) -> None:
    lines = [b'["account","debits","credits"]\n', b'["a","1","1"]\n', line]
    with pytest.raises(LineUnreadableError, match="line 3 of balances"), sqlite_database.transaction() as session:
        load_rows(session, {"balances": lines})
    with sqlite_database.reading() as session:
        assert is_empty(session)
    migrations.check(sqlite_database)
