"""Two that saw the same outbox entry: the first moves it, the second is told so, and nothing is taken for broken."""

import threading

import pytest

from ledger.db import outbox
from ledger.db.engine import Database
from ledger.db.epochs import StaleStateError
from ledger.db.outbox_entry import OutboxEntry, OutboxState
from ledger.model.units import Address, Timestamp

CHAIN, SENDER = 31337, Address(b"\x22" * 20)


@pytest.fixture
def planned(database: Database) -> OutboxEntry:
    with database.transaction() as session:
        outbox.open_sender(session, CHAIN, SENDER, 0)
        return outbox.enqueue(session, key="k", chain_id=CHAIN, sender=SENDER, to=SENDER, calldata=b"", at=Timestamp(1))


def test_the_second_writer_is_told_that_another_was_faster(database: Database, planned: OutboxEntry) -> None:
    with database.transaction() as session:
        outbox.record(session, planned, OutboxState.SIGNED, Timestamp(2))
    with pytest.raises(StaleStateError, match="another process"), database.transaction() as session:
        outbox.record(session, planned, OutboxState.VOIDING, Timestamp(3))
    with database.reading() as session:
        assert outbox.entry(session, "k").state is OutboxState.SIGNED


def test_of_many_at_once_one_moves_it(database: Database, planned: OutboxEntry) -> None:
    start, told = threading.Barrier(4), list[str]()

    def move() -> None:
        start.wait()
        try:
            with database.transaction() as session:
                outbox.record(session, planned, OutboxState.SIGNED, Timestamp(2))
        except StaleStateError:
            told.append("stale")
        else:
            told.append("moved")

    movers = [threading.Thread(target=move) for _ in range(4)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert sorted(told) == ["moved", "stale", "stale", "stale"]


def test_many_that_open_one_account_at_once_agree_on_its_first_nonce(database: Database) -> None:
    start, opened = threading.Barrier(4), list[int]()

    def open_it(nonce: int) -> None:
        start.wait()
        with database.transaction() as session:
            opened.append(outbox.open_sender(session, CHAIN, SENDER, nonce))

    openers = [threading.Thread(target=open_it, args=(nonce,)) for nonce in range(4)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert len(opened) == 4
    assert len(set(opened)) == 1
