"""Whether a payout is late and why: by the calendar alone it is due, by the epoch's state it waits for something."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.db import epochs
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Timestamp
from ledger.steps.answers.payouts import SETTLING_SECONDS, AwaitedPayout, PayoutStanding, awaited_payouts
from ledger.steps.ledger import Ledger
from ledger.workspace import Workspace

EPOCH = EpochNumber(2)
WINDOW = 3600


@pytest.fixture
def books(played: Callable[[str], Any], tmp_path: Path) -> Iterator[Ledger]:
    """A copy of the played ledger to be written."""
    shutil.copytree(played("sqlite").root, tmp_path / "ledger")
    ledger = Workspace.at(tmp_path / "ledger").open(start_chain=False)
    yield ledger
    ledger.close()


def payout(ledger: Ledger, now: int) -> AwaitedPayout:
    return next(each for each in awaited_payouts(ledger, WINDOW, Timestamp(now)) if each.epoch == EPOCH)


def move(ledger: Ledger, state: EpochState, reason: str = "") -> None:
    at = Timestamp(ledger.calendar.end(EPOCH))
    with ledger.database.transaction() as session:
        standing = epochs.open_epoch(session, EPOCH, recorded_at=at)
        if standing.state is not state:
            epochs.record_transition(session, standing, state, facts={}, recorded_at=at, reason=reason)


def test_it_is_due_after_cut_off_window_and_an_hour_and_late_a_second_later(books: Ledger) -> None:
    cut_off = books.calendar.cut_off(EPOCH)
    due = cut_off + WINDOW + SETTLING_SECONDS
    for now, standing in ((cut_off, "on time"), (due, "on time"), (due + 1, "late")):
        found = payout(books, now)
        assert (found.due, found.standing.value) == (due, standing)
    assert "evidence may still arrive" in payout(books, cut_off).why
    assert "not frozen" in payout(books, cut_off + 1).why


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (EpochState.FROZEN, "being computed"),
        (EpochState.COMPUTED, "proposed next"),
        (EpochState.SEALED, "proposed next"),
        (EpochState.PROPOSED, "until its window is over"),
        (EpochState.ACTIVE, "not final yet"),
        (EpochState.REVOKED, "computed anew"),
        (EpochState.FINAL, "can be claimed"),
    ],
)
def test_each_state_says_what_it_waits_for(books: Ledger, state: EpochState, why: str) -> None:
    move(books, state)
    found = payout(books, books.calendar.cut_off(EPOCH) + WINDOW + SETTLING_SECONDS + 1)
    assert why in found.why
    assert found.standing is (PayoutStanding.PAID if state is EpochState.FINAL else PayoutStanding.LATE)


def test_a_halted_epoch_says_why_and_the_next_one_waits_for_it(books: Ledger) -> None:
    move(books, EpochState.HALTED, reason="a promise did not hold")
    late = books.calendar.cut_off(EpochNumber(EPOCH + 1)) + 1
    assert "a promise did not hold" in payout(books, late).why
    with books.database.transaction() as session:
        following = epochs.open_epoch(session, EpochNumber(EPOCH + 1), recorded_at=Timestamp(late))
        epochs.record_transition(session, following, EpochState.FROZEN, facts={}, recorded_at=Timestamp(late))
    told = {each.epoch: each.why for each in awaited_payouts(books, WINDOW, Timestamp(late))}
    assert told[EpochNumber(EPOCH + 1)] == "epoch 2 comes first and is halted"
    assert EpochNumber(0) not in told, "what lies before the last final epoch is paid"
