"""Every way to change what never changes, tried on every protected table of both engines.

A new protected table is attacked here by itself; without a row in `sample_rows` these tests fail.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sample_rows import ROWS
from servers import new_place
from sqlalchemy import Connection, Table, insert, select, text
from sqlalchemy.exc import DBAPIError

from ledger.db import migrations
from ledger.db.engine import Database, open_database
from ledger.db.errors import GuardsChangedError
from ledger.db.guards import check_guards, postgres_triggers, protected_tables, sqlite_triggers
from ledger.db.schema import Base, Gapless

ENGINES = ("sqlite", "postgresql")
PROTECTED = [table.name for table in protected_tables()]
COUNTED = [
    (table.name, rule) for table in protected_tables() for rule in table.info["gapless"] if isinstance(rule, Gapless)
]
REFUSED = r"append-only: |duplicate row: |duplicate key value"


@pytest.fixture(scope="module", params=ENGINES)
def attacked(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    migrated: Callable[[str], tuple[str | None, str]],
) -> Iterator[Database]:
    """A ledger with one row in every protected table; every attack is rolled back or refused."""
    made = open_database(new_place(request.param, tmp_path_factory.mktemp("attacked"), *migrated(request.param)))
    with made.transaction() as session:
        for table in Base.metadata.sorted_tables:
            if table.name in PROTECTED:
                session.execute(insert(table), ROWS[table.name])
    yield made
    made.close()


def on_conflict(table: Table) -> str:
    """An insertion that becomes an update, in words that both engines read."""
    names = ", ".join(column.name for column in table.columns)
    key = ", ".join(column.name for column in table.primary_key.columns)
    change = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.columns)
    rows = f"SELECT {names} FROM {table.name} WHERE true"
    return f"INSERT INTO {table.name} ({names}) {rows} ON CONFLICT ({key}) DO UPDATE SET {change}"


def attacks(table: Table, dialect: str) -> Iterator[str]:
    name, first = table.name, next(iter(table.columns)).name
    names = ", ".join(column.name for column in table.columns)
    for column in table.columns:
        yield f"UPDATE {name} SET {column.name} = {column.name}"
    yield f"DELETE FROM {name}"
    yield on_conflict(table)
    if dialect == "sqlite":
        yield f"INSERT OR REPLACE INTO {name} ({names}) SELECT {names} FROM {name}"
        yield f"REPLACE INTO {name} ({names}) SELECT {names} FROM {name}"
        yield f"INSERT OR IGNORE INTO {name} ({names}) SELECT {names} FROM {name}"
        yield f"UPDATE OR REPLACE {name} SET {first} = {first}"
        yield f"UPDATE OR IGNORE {name} SET {first} = {first}"
        yield f"WITH one AS (SELECT 1) DELETE FROM {name} WHERE 1 IN one"
    else:
        yield f"TRUNCATE {name} CASCADE"
        yield f"TRUNCATE {name} RESTART IDENTITY CASCADE"
        yield f"WITH gone AS (DELETE FROM {name} RETURNING 1) SELECT count(*) FROM gone"
        yield f"MERGE INTO {name} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE"
        yield f"MERGE INTO {name} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN UPDATE SET {first} = t.{first}"
        yield f"DO $$ BEGIN DELETE FROM {name}; END $$"


def as_a_stranger(connection: Connection) -> None:
    """A connection that forgets recursive triggers on SQLite, or claims to be a replica on PostgreSQL."""
    if connection.dialect.name == "sqlite":
        connection.rollback()
        connection.exec_driver_sql("COMMIT")  # a pragma is ignored inside a transaction
        connection.exec_driver_sql("PRAGMA recursive_triggers = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SET LOCAL session_replication_role = replica"))


@pytest.mark.parametrize("stranger", [False, True], ids=["ours", "stranger"])
@pytest.mark.parametrize("name", PROTECTED)
def test_no_statement_changes_or_removes_a_row(attacked: Database, name: str, stranger: bool) -> None:
    table = Base.metadata.tables[name]
    with attacked.engine.connect() as connection:
        before = connection.execute(select(table)).all()
        connection.rollback()
        assert len(before) == 1
        for attack in attacks(table, attacked.dialect):
            if stranger:
                as_a_stranger(connection)
            with pytest.raises(DBAPIError, match=REFUSED):
                connection.execute(text(attack))
            connection.rollback()
            assert connection.execute(select(table)).all() == before, attack
            connection.rollback()


@pytest.mark.parametrize(("name", "rule"), COUNTED, ids=[f"{name}.{rule.column}" for name, rule in COUNTED])
def test_no_number_is_left_out_or_taken_twice(attacked: Database, name: str, rule: Gapless) -> None:
    table = Base.metadata.tables[name]
    there = ROWS[name][rule.column]
    for number in (there + 2, there + 1000, there, there - 1):
        with attacked.engine.connect() as connection, pytest.raises(DBAPIError):
            connection.execute(insert(table), ROWS[name] | {rule.column: number})
    another = {int: 77, str: "zz", bytes: b"\x55" * 32}
    elsewhere = {column: another[type(ROWS[name][column])] for column in rule.within}
    if elsewhere:  # a count of its own begins at its first number
        wrong = ROWS[name] | elsewhere | {rule.column: rule.first + 1}
        refused = pytest.raises(DBAPIError, match=r"counts without gaps|FOREIGN|foreign")
        with attacked.engine.connect() as connection, refused:
            connection.execute(insert(table), wrong)


def guards_of(dialect: str) -> list[tuple[str, str]]:
    """Every guard's name with its table."""
    make = sqlite_triggers if dialect == "sqlite" else postgres_triggers
    return [(guard.name, table.name) for table in protected_tables() for guard in make(table)]


def weakenings(guard: str, table: str, dialect: str) -> list[str]:
    if dialect == "sqlite":
        return [f"DROP TRIGGER {guard}"]
    return [
        f"DROP TRIGGER {guard} ON {table}",
        f"ALTER TABLE {table} DISABLE TRIGGER {guard}",
        f"ALTER TABLE {table} ENABLE TRIGGER {guard}",  # skipped on a replica
        f"ALTER TABLE {table} ENABLE REPLICA TRIGGER {guard}",
        f"ALTER TRIGGER {guard} ON {table} RENAME TO harmless",
    ]


@pytest.mark.row("dropped trigger")
def test_a_ledger_with_any_guard_dropped_or_disabled_does_not_start(database: Database) -> None:
    """The owner of a database can take a guard off; no start goes over it, and an upgrade puts it back."""
    url = database.engine.url.set(drivername=database.dialect).render_as_string(hide_password=False)
    for number, (guard, table) in enumerate(guards_of(database.dialect)):
        for statement in weakenings(guard, table, database.dialect):
            with database.engine.connect() as connection:
                connection.execute(text(statement))
                with pytest.raises(GuardsChangedError, match=guard):
                    check_guards(connection)
                connection.rollback()
        if number % 17 == 0:  # a start of a whole program, for some
            with database.engine.begin() as connection:
                connection.execute(text(weakenings(guard, table, database.dialect)[0]))
            with pytest.raises(GuardsChangedError, match=guard):
                open_database(url)
            migrations.upgrade(database)
            open_database(url).close()


def test_a_batch_alter_outside_a_migration_is_noticed(sqlite_database: Database) -> None:
    """Alembic rebuilds a table under its name: its triggers are gone, and autogenerate sees no difference."""
    place = f"sqlite:///{sqlite_database.engine.url.database}"
    with sqlite_database.engine.connect() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("refusals", recreate="always") as batch:
            batch.alter_column("detail", nullable=False)
        connection.commit()
    with pytest.raises(GuardsChangedError, match="guard_refusals"):
        open_database(place)
    with sqlite_database.engine.begin() as connection:
        connection.execute(text("DELETE FROM refusals"))  # nothing holds it back now
    migrations.upgrade(sqlite_database)
    open_database(place).close()


def test_a_ledger_made_by_copying_tables_does_not_start(sqlite_database: Database, tmp_path: Path) -> None:
    """`CREATE TABLE … AS SELECT` has the rows and none of the keys and guards."""
    with sqlite_database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE copied AS SELECT * FROM items"))
        connection.execute(text("DROP TABLE items"))
        connection.execute(text("ALTER TABLE copied RENAME TO items"))
    with pytest.raises(GuardsChangedError, match="guard_items"):
        open_database(f"sqlite:///{sqlite_database.engine.url.database}")
