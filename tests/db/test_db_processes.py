"""Several processes, and processes killed in the middle: no fork, no gap, no half entry."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledger.books.posting import Chain, Posting, entry_bytes, link
from ledger.db import journal
from ledger.db.engine import Database
from ledger.model.units import ZERO_HASH

sys.path.insert(0, str(Path(__file__).parent))
from appender import posting

APPENDER = Path(__file__).with_name("appender.py")


def start(url: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(APPENDER), url, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_appends_from_several_processes_make_one_chain(database: Database) -> None:
    url = database.engine.url.set(drivername=database.dialect).render_as_string(hide_password=False)
    running = [start(url, f"p{number}", 20) for number in range(3)]
    for process in running:
        process.communicate(timeout=60)
    assert [process.returncode for process in running] == [0] * 3
    with database.reading() as session:
        assert journal.verify_journal(session)[Chain.LOG].number == 60
        keys = {entry.key for entry in journal.entries(session)}
    assert keys == {f"test/p{process}/{number}" for process in range(3) for number in range(20)}


@pytest.mark.slow
def test_of_800_appends_by_eight_processes_none_is_lost_and_none_forks(database: Database) -> None:
    """Without the lock this lost 635 of them on SQLite and forked 457 on PostgreSQL."""
    url = database.engine.url.set(drivername=database.dialect).render_as_string(hide_password=False)
    running = [start(url, f"p{number}", 100) for number in range(8)]
    for process in running:
        process.communicate(timeout=250)
    assert [process.returncode for process in running] == [0] * 8
    with database.reading() as session:
        assert journal.verify_journal(session)[Chain.LOG].number == 800
        assert journal.last_seq(session) == 800


def test_the_same_postings_from_several_processes_are_booked_once(database: Database) -> None:
    url = database.engine.url.set(drivername=database.dialect).render_as_string(hide_password=False)
    running = [start(url, "same", 20) for _ in range(2)]
    for process in running:
        process.communicate(timeout=60)
    assert [process.returncode for process in running] == [0] * 2
    with database.reading() as session:
        assert journal.verify_journal(session)[Chain.LOG].number == 20


@pytest.mark.row("kill in a seal")
@pytest.mark.parametrize("seed", range(4))
def test_a_kill_in_the_middle_of_10000_lines_leaves_all_or_nothing(database: Database, seed: int) -> None:
    """A process that books 10,000 lines at once is killed after 0 to 0.3 s of it; another one goes on."""
    url = database.engine.url.set(drivername=database.dialect).render_as_string(hide_password=False)
    process = start(url, "killed", 1000, 10_000)
    assert process.stdout is not None
    for _ in range(1 + seed % 2):
        process.stdout.readline()
    time.sleep(random.Random(seed).uniform(0.0, 0.3))
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    with database.reading() as session:
        journal.verify_journal(session)  # also: balances are the sums of the transfers
        for entry in journal.entries(session):
            assert len(journal.transfers(session, entry.seq)) == 10_000
        booked = journal.last_seq(session)
    process = start(url, "killed", booked + 1, 10_000)
    process.communicate(timeout=60)
    assert process.returncode == 0
    with database.reading() as session:
        assert journal.last_seq(session) == booked + 1
        heads = journal.verify_journal(session)
    undisturbed = [posting("killed", number, 10_000) for number in range(booked + 1)]
    assert heads[Chain.LOG].hash == head_of(undisturbed)


def head_of(postings: list[Posting]) -> bytes:
    """Where a chain of these entries ends, hashed without a database."""
    head = ZERO_HASH
    for number, each in enumerate(postings, 1):
        head = link(each.chain, head, entry_bytes(each.content(), number).canonical)
    return head
