"""Two processes that step one ledger at the same time, past the workspace's lock: every transition happens once."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from ledger.chain.local.demo_time import DemoTime
from ledger.db import epochs, journal, outbox
from ledger.db.epochs import StaleStateError
from ledger.db.exclusion import HeldElsewhereError
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, Timestamp
from ledger.rehearsal import Rehearsal
from ledger.steps.drive import step
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.activate import activate
from ledger.steps.transitions.compute import compute
from ledger.steps.transitions.freeze import freeze
from ledger.steps.transitions.propose import propose
from ledger.steps.transitions.seal import seal
from ledger.steps.transitions.transition import Moved, StepResult, Waiting

EPOCH = EpochNumber(0)
Transition = Callable[[Ledger, EpochNumber], StepResult]


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("together") / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


@pytest.fixture(scope="module")
def both(rehearsal: Rehearsal) -> Iterator[tuple[Ledger, Ledger]]:
    """The same ledger opened twice, as two processes would, with its evidence delivered and its cut-off past."""
    one = rehearsal.deploy(lambda _: None)
    rehearsal.register(one)
    rehearsal.attest(one, EPOCH)
    move_time(one, one.calendar.cut_off(EPOCH) + 1)
    other = rehearsal.workspace.open()
    yield one, other
    one.close()
    other.close()


def move_time(ledger: Ledger, until: int) -> None:
    DemoTime(ledger.settlement().connection).jump_to(Timestamp(until))


def at_once(both: tuple[Ledger, Ledger], transition: Transition) -> list[StepResult | LedgerError]:
    """What each of the two was answered."""
    answers: list[StepResult | LedgerError] = []
    start = threading.Barrier(2)

    def act(ledger: Ledger) -> None:
        ledger.settlement()
        start.wait()
        try:
            answers.append(transition(ledger, EPOCH))
        except (StaleStateError, HeldElsewhereError) as refused:
            answers.append(refused)

    actors = [threading.Thread(target=act, args=(ledger,)) for ledger in both]
    for actor in actors:
        actor.start()
    for actor in actors:
        actor.join()
    assert len(answers) == 2, "one of them failed with something else"
    return answers


@pytest.mark.parametrize("transition", [freeze, compute, seal, propose], ids=lambda each: each.__name__)
def test_of_two_at_once_one_acts_and_the_other_is_told_so(both: tuple[Ledger, Ledger], transition: Transition) -> None:
    answers = at_once(both, transition)
    assert sum(isinstance(answer, Moved) for answer in answers) == 1


def test_two_that_settle_together_send_every_transaction_once(both: tuple[Ledger, Ledger]) -> None:
    one, _ = both
    for _ in range(40):
        answers = at_once(both, step)
        waits = [answer for answer in answers if isinstance(answer, Waiting)]
        if not any(isinstance(answer, Moved) for answer in answers) and waits:
            until = max((wait.until for wait in waits if wait.until is not None), default=None)
            move_time(one, until if until is not None else one.clock.now() + 12)
        with one.database.reading() as session:
            if epochs.state_of(session, EPOCH) is EpochState.FINAL:
                break
    with one.database.reading() as session:
        states = Counter(event.state for event in epochs.events(session, EPOCH))
        sent = outbox.entries(session, one.domain.chain_id)
        keys = [entry.key for entry in journal.entries(session)]
        journal.verify_journal(session)
    assert states == {state: 1 for state in EpochState if state not in {EpochState.HALTED, EpochState.REVOKED}}
    assert [entry.key for entry in sent] == ["epoch/0/propose/1", "epoch/0/activate/1"]
    assert one.settlement().connection.nonce(sent[0].sender) == 2
    assert len(keys) == len(set(keys)) == 3


@pytest.mark.parametrize("transition", [freeze, compute, seal, propose, activate], ids=lambda each: each.__name__)
def test_a_transition_asked_for_again_when_it_is_long_past_changes_nothing(
    both: tuple[Ledger, Ledger], transition: Transition
) -> None:
    one, _ = both
    with one.database.reading() as session:
        before = (
            epochs.events(session, EPOCH),
            journal.last_seq(session),
            outbox.entries(session, one.domain.chain_id),
        )
    with suppress(StaleStateError):
        assert isinstance(transition(one, EPOCH), Waiting)
    with one.database.reading() as session:
        after = (epochs.events(session, EPOCH), journal.last_seq(session), outbox.entries(session, one.domain.chain_id))
    assert after == before
