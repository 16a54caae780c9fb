"""Rows that never change cannot be changed, by any statement, on either engine; and the guards guard themselves."""

from collections.abc import Callable

import pytest
from sample_rows import ROWS, H
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import DBAPIError

from ledger.books.posting import Posting
from ledger.db import journal, migrations
from ledger.db.engine import Database, open_database
from ledger.db.errors import AppendOnlyError, ConstraintBrokenError, GuardsChangedError
from ledger.db.guards import check_guards, install_guards, protected_tables, remove_guards
from ledger.db.schema import Base
from ledger.db.tables.journal import JournalEntryRow, TransferRow
from ledger.model.units import Timestamp


@pytest.fixture
def filled(database: Database) -> Database:
    protected = {table.name for table in protected_tables()}
    with database.transaction() as session:
        for table in Base.metadata.sorted_tables:
            if table.name in protected:
                session.execute(insert(table), ROWS[table.name])
    return database


def attacks(table: str, columns: list[str], dialect: str) -> list[str]:
    """Every way a statement could change or remove the row of a table."""
    names = ", ".join(columns)
    common = [f"UPDATE {table} SET {name} = {name}" for name in columns] + [f"DELETE FROM {table}"]
    if dialect == "sqlite":
        copy = f"({names}) SELECT {names} FROM {table}"
        return [
            *common,
            f"INSERT OR REPLACE INTO {table} {copy}",
            f"REPLACE INTO {table} {copy}",
            f"UPDATE OR REPLACE {table} SET {columns[0]} = {columns[0]}",
            f"INSERT INTO {table} {copy} WHERE true ON CONFLICT DO UPDATE SET {columns[0]} = excluded.{columns[0]}",
        ]
    return [
        *common,
        f"TRUNCATE {table} CASCADE",
        f"WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone",
    ]


def test_every_protected_table_has_a_sample_row() -> None:
    assert {table.name for table in protected_tables()} == set(ROWS)


def test_only_projections_are_unprotected() -> None:
    unprotected = set(Base.metadata.tables) - {table.name for table in protected_tables()}
    assert unprotected == {"balances", "epochs", "parts"}


@pytest.mark.parametrize("careless", [False, True], ids=["our-connection", "foreign-connection"])
def test_no_statement_changes_a_protected_row(filled: Database, careless: bool) -> None:
    """A foreign connection forgets recursive triggers on SQLite, and claims to be a replica on PostgreSQL."""
    for table in protected_tables():
        columns = [column.name for column in table.columns]
        with filled.engine.connect() as connection:
            before = connection.execute(select(table)).all()
        assert len(before) == 1
        for attack in attacks(table.name, columns, filled.dialect):
            with filled.engine.connect() as connection:
                if careless:
                    be_careless(connection)
                with pytest.raises(DBAPIError, match=r"append-only: |duplicate row: "):
                    connection.execute(text(attack))
                connection.rollback()
                assert connection.execute(select(table)).all() == before, attack


def be_careless(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.rollback()
        connection.exec_driver_sql("COMMIT")  # a pragma is ignored inside a transaction
        connection.exec_driver_sql("PRAGMA recursive_triggers = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SET LOCAL session_replication_role = replica"))


def entry_row(**changes: object) -> dict[str, object]:
    return (
        ROWS["journal_entries"]
        | {"seq": 2, "number": 2, "key": "k2", "hash": b"\x33" * 32, "previous_hash": H}
        | changes
    )


@pytest.mark.parametrize(
    "changes",
    [{"seq": 3}, {"number": 3}, {"previous_hash": b"\x44" * 32}, {"seq": 1}, {"chain": "log"}],
    ids=["seq-skipped", "number-skipped", "wrong-link", "seq-again", "other-chain"],
)
def test_an_entry_out_of_order_is_refused(filled: Database, changes: dict[str, object]) -> None:
    with pytest.raises((AppendOnlyError, ConstraintBrokenError)), filled.transaction() as session:
        session.execute(insert(JournalEntryRow), entry_row(**changes))
    with filled.transaction() as session:
        session.execute(insert(JournalEntryRow), entry_row())


def test_a_complete_entry_takes_no_further_transfer(filled: Database) -> None:
    for line in ({"line_no": 1}, {"entry_seq": 2}, {"line_no": -1}):
        with pytest.raises((AppendOnlyError, ConstraintBrokenError)), filled.transaction() as session:
            session.execute(insert(TransferRow), ROWS["transfers"] | line)


def test_an_old_entry_takes_no_further_transfer(
    database: Database, make_seal: Callable[..., Posting], make_claim: Callable[..., Posting]
) -> None:
    with database.transaction() as session:
        journal.append(session, make_seal(0), recorded_at=Timestamp(1))
        journal.append(session, make_seal(1), recorded_at=Timestamp(1))
    with pytest.raises(AppendOnlyError), database.transaction() as session:
        session.execute(insert(TransferRow), ROWS["transfers"] | {"entry_seq": 1, "line_no": 99})


TAMPERINGS = {
    "sqlite": [
        "DROP TRIGGER guard_transfers_update",
        "CREATE TRIGGER other AFTER INSERT ON transfers BEGIN SELECT 1; END",
        "DROP TRIGGER guard_items_delete",
        "CREATE TRIGGER guard_items_delete BEFORE DELETE ON items WHEN false BEGIN SELECT RAISE(ABORT, 'x'); END",
    ],
    "postgresql": [
        "DROP TRIGGER guard_transfers_change ON transfers",
        "ALTER TABLE transfers DISABLE TRIGGER guard_transfers_change",
        "ALTER TABLE transfers ENABLE TRIGGER guard_transfers_change",
        "ALTER TABLE transfers DISABLE TRIGGER ALL",
        "CREATE OR REPLACE FUNCTION guard_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER other BEFORE INSERT ON transfers FOR EACH ROW EXECUTE FUNCTION guard_append_only()",
    ],
}


def test_a_changed_guard_is_found_at_start_up_and_put_back_by_an_upgrade(url: str) -> None:
    made = open_database(url, create=True)
    migrations.upgrade(made)
    for tampering in TAMPERINGS[made.dialect]:
        with made.engine.begin() as connection:
            if "guard_items_delete BEFORE" in tampering:
                connection.exec_driver_sql("DROP TRIGGER guard_items_delete")
            connection.exec_driver_sql(tampering)
        with pytest.raises(GuardsChangedError):
            open_database(url)
        if "other" in tampering:
            # a trigger that is not ours is not ours to drop
            with made.engine.begin() as connection:
                on = " ON transfers" if made.dialect == "postgresql" else ""
                connection.exec_driver_sql(f"DROP TRIGGER other{on}")
        migrations.upgrade(made)
        open_database(url).close()
    made.close()


def test_guards_survive_being_installed_twice_and_leave_nothing_when_removed(database: Database) -> None:
    with database.engine.begin() as connection:
        install_guards(connection)
        check_guards(connection)
        remove_guards(connection)
        with pytest.raises(GuardsChangedError, match="missing"):
            check_guards(connection)
        install_guards(connection)
        check_guards(connection)
