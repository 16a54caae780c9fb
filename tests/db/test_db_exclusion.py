"""A lock has one holder, in whatever process, and dies with it; on either engine."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from ledger.db.engine import Database, open_database
from ledger.db.exclusion import HeldElsewhereError, exclusively
from ledger.db.serial import one_at_a_time

HOLDER = Path(__file__).with_name("holder.py")


def url_of(database: Database) -> str:
    return database.engine.url.set(drivername=database.dialect).render_as_string(hide_password=False)


def test_a_second_holder_is_told_so_and_other_names_are_free(database: Database) -> None:
    other = open_database(url_of(database))
    with exclusively(database, "outbox/1"):
        with pytest.raises(HeldElsewhereError, match="outbox/1"), exclusively(other, "outbox/1"):
            pass
        with exclusively(other, "outbox/2"):
            pass
    with exclusively(other, "outbox/1"):
        pass
    other.close()


def test_a_lock_is_given_back_when_its_block_fails(database: Database) -> None:
    def fail() -> None:
        with exclusively(database, "follower/1"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with exclusively(database, "follower/1"):
        pass


def test_a_lock_dies_with_a_killed_process(database: Database) -> None:
    process = subprocess.Popen(
        [sys.executable, str(HOLDER), url_of(database), "outbox/1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(HeldElsewhereError), exclusively(database, "outbox/1"):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(100):  # PostgreSQL notices a moment later that nobody is there
        try:
            with exclusively(database, "outbox/1"):
                return
        except HeldElsewhereError:
            time.sleep(0.05)
    raise AssertionError("the lock outlived its holder")


def test_transactions_that_count_go_one_after_the_other(database: Database) -> None:
    """Between taking the lock and the end of a transaction nobody else counts; a rollback gives the lock back."""
    database.engine.dispose()
    going, passed = threading.Event(), list[str]()

    def second() -> None:
        going.wait()
        with database.transaction() as session:
            one_at_a_time(session, "journal")
            passed.append("second")

    def first() -> None:
        with database.transaction() as session:
            one_at_a_time(session, "journal")
            session.execute(text("SELECT 1"))
            going.set()
            time.sleep(0.3)
            passed.append("first")
            raise RuntimeError

    waiting = threading.Thread(target=second)
    waiting.start()
    with pytest.raises(RuntimeError):
        first()
    waiting.join()
    assert passed == ["first", "second"]
