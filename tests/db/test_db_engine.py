"""A unit of work is all or nothing, and every trouble with the database has a name and a next step."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from servers import PostgresServer, end_all_other_sessions
from sqlalchemy import make_url, text

from ledger.db import engine, migrations
from ledger.db.engine import Database, open_database
from ledger.db.errors import (
    ConstraintBrokenError,
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseLockedError,
    DatabaseLoginError,
    DatabaseMissingError,
    DatabaseReadOnlyError,
    DatabaseUnavailableError,
    DiskFullError,
)
from ledger.model.errors import UsageError

COUNT = text("SELECT count(*) FROM balances")
ADD = text("INSERT INTO balances VALUES ('x', :zero, :zero)").bindparams(zero="0" * 78)


def test_a_unit_of_work_that_fails_leaves_nothing(sqlite_database: Database) -> None:
    def work(fails: bool) -> None:
        with sqlite_database.transaction() as session:
            session.execute(ADD)
            if fails:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        work(fails=True)
    with sqlite_database.reading() as session:
        assert session.execute(COUNT).scalar_one() == 0
    work(fails=False)
    with sqlite_database.reading() as session:
        assert session.execute(COUNT).scalar_one() == 1


def test_a_reader_sees_one_moment_and_keeps_nothing(database: Database) -> None:
    statement = text("INSERT INTO balances VALUES ('x', '0', '0')") if database.dialect == "postgresql" else ADD
    with database.reading() as session:
        assert session.execute(COUNT).scalar_one() == 0
        with database.transaction() as other:
            other.execute(statement)
        assert session.execute(COUNT).scalar_one() == 0
    with database.reading() as session:
        assert session.execute(COUNT).scalar_one() == 1


def test_a_connection_that_the_server_closed_meanwhile_is_replaced_unseen(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One used a moment ago is trusted, and may fail once; one that lay idle is asked first."""
    database = open_database(ledger_url)

    def looked() -> int:
        with database.reading() as session:
            return int(session.execute(COUNT).scalar_one())

    def close_all() -> None:
        if database.dialect == "postgresql":
            end_all_other_sessions(ledger_url)

    monkeypatch.setattr(engine, "TRUSTED_SECONDS", 3600)
    assert looked() == 0
    close_all()
    if database.dialect == "postgresql":
        with pytest.raises(DatabaseUnavailableError):
            looked()
    assert looked() == 0
    monkeypatch.setattr(engine, "TRUSTED_SECONDS", 0)
    close_all()
    assert looked() == 0
    database.close()


def test_who_waits_in_vain_for_a_connection_is_told_so_and_may_try_again(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CONNECTIONS", 1), ("_KEPT_OPEN", 1), ("FREE_WITHIN_SECONDS", 0.05)):
        monkeypatch.setattr(engine, name, value)
    database = open_database(ledger_url)
    with database.reading() as session:
        assert session.execute(COUNT).scalar_one() == 0
        with pytest.raises(DatabaseBusyError) as caught, database.transaction():
            pass
    assert caught.value.retryable
    with database.transaction() as session:
        assert session.execute(COUNT).scalar_one() == 0
    database.close()


def test_a_broken_constraint_is_named(sqlite_database: Database) -> None:
    with sqlite_database.transaction() as session:
        session.execute(ADD)
    with pytest.raises(ConstraintBrokenError, match="balances"), sqlite_database.transaction() as session:
        session.execute(ADD)


def test_a_held_lock_is_named_and_may_be_tried_again(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
    path = str(sqlite_database.engine.url.database)
    other = open_database(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseLockedError) as caught, other.transaction():
            pass
        assert caught.value.retryable
        with other.reading() as session:  # readers are not held up
            assert session.execute(COUNT).scalar_one() == 0
    other.close()


def test_a_ledger_opened_to_read_cannot_be_written(url: str) -> None:
    made = open_database(url, create=True)
    migrations.upgrade(made)
    reader = open_database(url, read_only=True)
    with pytest.raises(DatabaseReadOnlyError), reader.transaction():
        pass
    with pytest.raises(DatabaseReadOnlyError), reader.reading() as session:
        session.execute(text("DELETE FROM balances"))
    reader.close()
    made.close()


def test_a_full_disk_is_named_and_keeps_nothing_of_the_transaction(sqlite_database: Database) -> None:
    def fill() -> None:
        with sqlite_database.transaction() as session:
            pages = session.execute(text("PRAGMA page_count")).scalar_one()
            session.execute(text(f"PRAGMA max_page_count = {pages}"))
            session.execute(ADD)
            document = text("INSERT INTO tables_documents VALUES (zeroblob(32), zeroblob(1000000), 0)")
            session.execute(document)

    with pytest.raises(DiskFullError):
        fill()
    with sqlite_database.reading() as session:
        assert session.execute(COUNT).scalar_one() == 0


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 100)
    with pytest.raises(DatabaseDamagedError):
        open_database(f"sqlite:///{tmp_path}/ledger.db")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(DatabaseUnavailableError):
        open_database("postgresql://nobody@127.0.0.1:1/books")


@pytest.mark.parametrize("wrong", ["sqlite://", "sqlite:///:memory:", "mysql://host/db", "ledger.db"])
def test_a_url_that_cannot_hold_a_ledger_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError):
        open_database(wrong, create=True)


def test_a_password_is_never_in_a_message() -> None:
    with pytest.raises(DatabaseUnavailableError) as caught:
        open_database("postgresql://me:secret@127.0.0.1:1/books")
    assert "secret" not in str(caught.value)


def test_the_file_is_safe_against_power_loss_and_careless_replaces(sqlite_database: Database) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}
    with sqlite_database.reading() as session:
        assert {name: session.execute(text(f"PRAGMA {name}")).scalar_one() for name in wanted} == wanted


def test_a_server_that_does_not_let_this_user_in_is_not_said_to_be_away(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir(mode=0o700)
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    try:
        with closing(open_database(server.url, create=True)) as database, database.transaction() as session:
            session.execute(text("CREATE ROLE guarded LOGIN PASSWORD 'right'"))
            place = Path(session.execute(text("SHOW hba_file")).scalar_one())
            place.write_text("local all guarded scram-sha-256\n" + place.read_text())
            session.execute(text("SELECT pg_reload_conf()"))
        for user, password in (("guarded", "wrong"), ("guarded", None), ("nobody", None)):
            url = make_url(server.url).set(username=user, password=password)
            with pytest.raises(DatabaseLoginError, match="postgresql") as refused:
                open_database(url.render_as_string(hide_password=False))
            assert "wrong" not in str(refused.value)
        absent = make_url(server.url).set(database="absent").render_as_string(hide_password=False)
        with pytest.raises(DatabaseMissingError) as missing:
            open_database(absent, create=True).revision()
        assert missing.value.hint.startswith("create it on the server"), "no upgrade makes a database on a server"
    finally:
        server.stop()


def test_a_host_without_an_address_is_a_database_that_is_away() -> None:
    with pytest.raises(DatabaseUnavailableError) as caught:
        open_database("postgresql://ledger:hunter2@db.invalid/books")
    assert "hunter2" not in str(caught.value)


def test_a_port_that_is_no_number_is_said_to_be_no_database_url() -> None:
    with pytest.raises(UsageError, match="no database URL"):
        open_database("postgresql://ledger@db.example:port/books")


def test_what_is_no_url_is_not_repeated_where_a_password_may_be_in_it() -> None:
    with pytest.raises(UsageError) as refused:
        open_database("ledger:hunter2@db.example/books")
    assert "hunter2" not in str(refused.value)
