"""An empty place becomes this version's ledger, one of another version is told so, and a killed migration is undone."""

from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from ledger.db import migrations
from ledger.db.engine import SCHEMA_REVISIONS, Database, open_database
from ledger.db.errors import DatabaseMissingError, SchemaDiffersError, SchemaNewerError, SchemaOlderError
from ledger.db.guards import check_guards
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
