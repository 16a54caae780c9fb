"""An empty place becomes this version's ledger, one of another version is told so, and a killed migration is undone."""

import os
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from sample_rows import ROWS
from sqlalchemy import create_engine, event, insert, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from ledger.db import migrations
from ledger.db.engine import SCHEMA_REVISIONS, Database, open_database
from ledger.db.errors import (
    DatabaseMissingError,
    SchemaDiffersError,
    SchemaNewerError,
    SchemaOlderError,
    WouldLoseError,
)
from ledger.db.guards import check_guards
from ledger.db.row_lines import kept_tables, row_lines
from ledger.db.schema import Base


def test_an_empty_place_becomes_a_ledger_that_passes_its_own_check(url: str) -> None:
    made = open_database(url, create=True)
    assert migrations.upgrade(made) == SCHEMA_REVISIONS[-1]
    migrations.check(made)
    with made.reading() as session:
        assert set(Base.metadata.tables) <= set(inspect(session.connection()).get_table_names())
    assert migrations.upgrade(made) == SCHEMA_REVISIONS[-1]
    migrations.check(made)
    made.close()


def test_down_and_up_again_leaves_nothing_and_then_everything(database: Database) -> None:
    assert migrations.downgrade(database, "base") == "base"
    with database.reading() as session:
        assert inspect(session.connection()).get_table_names() == ["alembic_version"]
        leftover = (
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
            if database.dialect == "sqlite"
            else "SELECT count(*) FROM pg_proc WHERE proname LIKE 'guard%'"
        )
        assert session.execute(text(leftover)).scalar_one() == 0
    migrations.upgrade(database)
    migrations.check(database)


def test_the_known_revisions_are_those_of_the_migrations_folder() -> None:
    assert migrations.known_revisions() == SCHEMA_REVISIONS


def test_the_migrations_folder_does_not_shadow_the_library() -> None:
    assert not (migrations.migrations_folder() / "__init__.py").exists()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(url: str) -> None:
    made = open_database(url, create=True)
    migrations.upgrade(made)
    with made.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (lambda: open_database(url), lambda: migrations.upgrade(made), lambda: migrations.check(made)):
        with pytest.raises(SchemaNewerError, match="9999"):
            attempt()
    assert made.revision() == "9999"
    made.close()


def test_a_database_of_an_older_version_asks_for_its_upgrade(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = open_database(url, create=True)
    migrations.upgrade(made)
    made.close()
    monkeypatch.setattr("ledger.db.engine.SCHEMA_REVISIONS", (*SCHEMA_REVISIONS, "9999"))
    with pytest.raises(SchemaOlderError) as caught:
        open_database(url)
    assert caught.value.hint == "ath-ledger db upgrade"


def test_a_place_without_a_ledger_asks_for_one(url: str, tmp_path: Path) -> None:
    open_database(url, create=True).close()
    for place in (url, f"sqlite:///{tmp_path}/nowhere.db"):
        with pytest.raises(DatabaseMissingError) as caught:
            open_database(place)
        assert caught.value.hint == "ath-ledger db upgrade"


def test_an_altered_table_is_found(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE artefacts ADD COLUMN note TEXT"))
    with pytest.raises(SchemaDiffersError, match="note"):
        migrations.check(database)


def test_a_migration_that_fails_changes_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_connection: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("ledger.db.guards.install_guards", fail)
    with pytest.raises(RuntimeError):
        migrations.downgrade(database, "base")
    with database.reading() as session:
        check_guards(session.connection())
    migrations.check(database)


REVISIONS = ("base", *SCHEMA_REVISIONS)
STEPS = [(before, after) for before, after in pairwise(REVISIONS)]


def fill(database: Database) -> None:
    """One row in every protected table and a journal's balance: what a schema must not lose."""
    present = present_tables(database)
    with database.transaction() as session:
        for table in Base.metadata.sorted_tables:
            if table.name in ROWS and table.name in present:
                session.execute(insert(table), ROWS[table.name])
        session.execute(insert(Base.metadata.tables["balances"]), {"account": "a", "debits": 2**256 - 1, "credits": 0})


def present_tables(database: Database) -> set[str]:
    with database.reading() as session:
        return set(inspect(session.connection()).get_table_names())


def kept(database: Database, tables: set[str]) -> dict[str, list[bytes]]:
    """Every row of these tables, byte for byte."""
    with database.reading() as session:
        return {table.name: list(row_lines(session, table)) for table in kept_tables() if table.name in tables}


def triggers(database: Database) -> list[str]:
    query = (
        "SELECT name || sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1"
        if database.dialect == "sqlite"
        else "SELECT t.tgname || t.tgenabled::text || p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
        " WHERE NOT t.tgisinternal ORDER BY 1"
    )
    with database.reading() as session:
        return list(session.execute(text(query)).scalars())


@pytest.mark.parametrize(("before", "after"), STEPS, ids=[after for _, after in STEPS])
def test_each_revision_goes_up_down_and_up_again_and_keeps_every_row(url: str, before: str, after: str) -> None:
    """Every revision on both engines, with data in it: guards stand after each move, and no byte of a row changes."""
    made = open_database(url, create=True)
    if before != "base":
        migrations.upgrade(made, before)
        fill(made)
        tables = present_tables(made)
        rows, guards = kept(made, tables), triggers(made)
        assert guards, "a schema with protected tables has guards"
    migrations.upgrade(made, after)
    if before == "base":
        migrations.downgrade(made, before)
        assert present_tables(made) == {"alembic_version"}
        migrations.upgrade(made, after)
    else:
        assert kept(made, tables) == rows
        assert set(guards) <= set(triggers(made))
        migrations.downgrade(made, before)
        assert (kept(made, tables), triggers(made), present_tables(made)) == (rows, guards, tables)
        with pytest.raises(DBAPIError, match="append-only"), made.engine.begin() as connection:
            connection.execute(text("DELETE FROM chain_blocks"))
        migrations.upgrade(made, after)
        assert kept(made, tables) == rows
    if after == SCHEMA_REVISIONS[-1]:
        migrations.check(made)
    made.close()


@pytest.mark.parametrize(("before", "after"), STEPS, ids=[after for _, after in STEPS])
def test_a_downgrade_that_would_lose_rows_is_refused_and_loses_none(url: str, before: str, after: str) -> None:
    made = open_database(url, create=True)
    migrations.upgrade(made, after)
    fill(made)
    tables = present_tables(made)
    rows = kept(made, tables)
    with pytest.raises(WouldLoseError, match="rows of"):
        migrations.downgrade(made, before)
    assert (kept(made, tables), made.revision()) == (rows, after)
    assert migrations.downgrade(made, before, lose=True) == before
    migrations.upgrade(made, after)
    made.close()


def migrating(url: str, direction: str, revision: str, dies_after: int) -> int:
    """A migration in a process of its own; its exit code."""
    environment = {**os.environ, "ATH_LEDGER_FAULTPOINT": f"statement@{dies_after}"}
    command = [sys.executable, str(Path(__file__).with_name("migrator.py")), url, direction, revision]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@pytest.mark.row("kill in a migration")
@pytest.mark.parametrize(("direction", "start"), [("up", "base"), ("up", "0001"), ("down", "0002")])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95, 1.0])
def test_a_migration_that_is_killed_anywhere_has_not_happened(
    url: str, direction: str, start: str, share: float
) -> None:
    """SIGKILL after the first statement, the last, and between: the old schema stands whole, and the next try works."""
    made = open_database(url, create=True)
    if start != "base":
        migrations.upgrade(made, start)
        if direction == "up":
            fill(made)
    end = SCHEMA_REVISIONS[-1] if direction == "up" else "0001"
    before = (made.revision(), present_tables(made), triggers(made))
    rows = kept(made, before[1])
    statements = statements_of(new_like(url), direction, start, end)
    assert migrating(url, direction, end, max(1, round(share * statements))) == -signal.SIGKILL
    assert (made.revision(), present_tables(made), triggers(made)) == before
    assert kept(made, before[1]) == rows
    if direction == "up":
        with pytest.raises((DatabaseMissingError, SchemaOlderError)):
            open_database(url)  # no start goes over a schema that is not there yet
        migrations.upgrade(made)
        migrations.check(made)
        assert kept(made, before[1]) == rows
    else:
        open_database(url).close()
    made.close()


def new_like(url: str) -> str:
    """Another empty place on the same engine."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return f"{url}-other"
    name = f"{parsed.database}_other"
    server = create_engine(parsed.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    return parsed.set(database=name).render_as_string(hide_password=False)


def statements_of(url: str, direction: str, start: str, end: str) -> int:
    """How many statements the migration sends."""
    made = open_database(url, create=True)
    if start != "base":
        migrations.upgrade(made, start)
    sent = Counter[str]()
    event.listen(made.engine, "after_cursor_execute", lambda *_: sent.update(["statement"]))
    if direction == "up":
        migrations.upgrade(made, end)
    else:
        migrations.downgrade(made, end)
    made.close()
    return sent["statement"]
