"""An epoch moves one transition at a time, whoever pushes; its events are the truth and the rest is rebuilt."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.db import epochs, items
from ledger.db.engine import Database
from ledger.db.epochs import StaleStateError
from ledger.db.errors import RowMissingError
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp

ZERO = EpochNumber(0)
NOW = Timestamp(7)


def opened(database: Database) -> epochs.EpochStanding:
    with database.transaction() as session:
        return epochs.open_epoch(session, ZERO, recorded_at=NOW)


def test_facts_are_those_of_the_last_transition_into_a_state(database: Database) -> None:
    standing = opened(database)
    with database.transaction() as session:
        standing = epochs.record_transition(session, standing, EpochState.FROZEN, facts={"n": 1}, recorded_at=NOW)
        standing = epochs.record_transition(
            session, standing, EpochState.HALTED, facts={"from": "frozen"}, recorded_at=NOW, reason="clock"
        )
        standing = epochs.record_transition(
            session, standing, EpochState.FROZEN, facts={"n": 2**60}, recorded_at=NOW, attempt=2
        )
    with database.reading() as session:
        assert epochs.facts(session, ZERO, EpochState.FROZEN) == {"n": str(2**60)}
        assert epochs.facts(session, ZERO, EpochState.HALTED) == {"from": "frozen"}
        assert epochs.current(session, ZERO) == standing
        assert [event.number for event in epochs.events(session, ZERO)] == [1, 2, 3, 4]
        with pytest.raises(RowMissingError):
            epochs.facts(session, ZERO, EpochState.SEALED)


def test_a_decision_on_an_old_version_is_refused_and_changes_nothing(database: Database) -> None:
    old = opened(database)
    with database.transaction() as session:
        epochs.record_transition(session, old, EpochState.FROZEN, facts={}, recorded_at=NOW)
    with pytest.raises(StaleStateError), database.transaction() as session:
        epochs.record_transition(session, old, EpochState.FROZEN, facts={}, recorded_at=NOW)
    with pytest.raises(StaleStateError), database.transaction() as session:
        epochs.lock_epoch(session, ZERO, expected=EpochState.OPEN)
    with database.reading() as session:
        assert len(epochs.events(session, ZERO)) == 2


def test_of_many_pushing_the_same_epoch_one_succeeds(database: Database) -> None:
    def push(_: int) -> bool:
        try:
            with database.transaction() as session:
                epochs.open_epoch(session, ZERO, recorded_at=NOW)
                standing = epochs.lock_epoch(session, ZERO, expected=EpochState.OPEN)
                epochs.record_transition(session, standing, EpochState.FROZEN, facts={}, recorded_at=NOW)
        except StaleStateError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(push, range(8))) == [False] * 7 + [True]
    with database.reading() as session:
        assert [event.state for event in epochs.events(session, ZERO)] == [EpochState.OPEN, EpochState.FROZEN]


def test_the_projection_is_rebuilt_from_the_events(database: Database) -> None:
    standing = opened(database)
    with database.transaction() as session:
        standing = epochs.record_transition(
            session, standing, EpochState.HALTED, facts={}, recorded_at=NOW, reason="disk"
        )
    with database.transaction() as session:
        epochs.rebuild_epochs(session)
    with database.reading() as session:
        assert epochs.all_standings(session) == [standing]


def test_items_that_arrive_at_once_are_numbered_without_gaps(database: Database) -> None:
    def arrive(number: int) -> int:
        with database.transaction() as session:
            return items.record_item(
                session,
                uid=Hash32(number.to_bytes(32, "big")),
                kind="batch",
                schema="uptime",
                signer=Address(bytes(20)),
                epoch=ZERO,
                sequence=number,
                received_at=NOW,
                file_digest=Hash32(bytes(32)),
            )

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(arrive, range(12))) == list(range(1, 13))
    with database.reading() as session:
        assert items.last_arrival(session) == 12
        assert len(items.frozen_items(session, epoch=ZERO, start=Timestamp(0), last_arrival=5)) == 5
