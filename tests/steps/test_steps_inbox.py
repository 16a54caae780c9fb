"""What was handed in is kept before it is judged, and judged as of when it was handed in."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.db.errors import RowMissingError
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.registration import SignedRegistration
from ledger.evidence.items.revocation import WHOLE_BATCH, Revocation, SignedRevocation
from ledger.evidence.storage.batch_files import write_batch
from ledger.evidence.storage.item_files import write_revocation
from ledger.evidence.storage.store import store_registration
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Hash32, Timestamp
from ledger.rehearsal import DELIVERY_SECONDS, Rehearsal
from ledger.steps.drive import state_of, step
from ledger.steps.intake import collect
from ledger.steps.intake.inbox import (
    SubmissionState,
    judge_submission,
    judge_waiting,
    receive,
    submission,
    waiting_submissions,
)
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.freeze import fix
from ledger.steps.transitions.transition import Waiting

EPOCH = EpochNumber(0)


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    rehearsal = Rehearsal.create(tmp_path / "ledger", WorkedExample())
    yield rehearsal
    rehearsal.stop()


@pytest.fixture
def ledger(rehearsal: Rehearsal) -> Iterator[Ledger]:
    opened = rehearsal.deploy(lambda _: None)
    rehearsal.register(opened)
    yield opened
    opened.close()


@pytest.fixture
def contents(rehearsal: Rehearsal, ledger: Ledger) -> list[bytes]:
    """The files of the epoch's batches."""
    return [write_batch(batch, ledger.domain) for batch in rehearsal.network.batches(EPOCH, ledger.domain)]


def at(rehearsal: Rehearsal, ledger: Ledger, second: int) -> None:
    rehearsal._jump(ledger, Timestamp(second))


def test_it_waits_until_somebody_judges_it_and_twice_is_once(
    rehearsal: Rehearsal, ledger: Ledger, contents: list[bytes]
) -> None:
    at(rehearsal, ledger, ledger.calendar.end(EPOCH) + DELIVERY_SECONDS)
    received = receive(ledger, contents[0])
    assert received.state is SubmissionState.RECEIVED
    assert receive(ledger, contents[0]) == received
    assert waiting_submissions(ledger) == [received]
    judged = judge_submission(ledger, received.digest)
    assert (judged.state, judged.kind, judged.epoch, judged.code) == (SubmissionState.ADMITTED, "batch", EPOCH, "")
    assert judge_submission(ledger, received.digest) == receive(ledger, contents[0]) == judged
    assert waiting_submissions(ledger) == []
    with pytest.raises(RowMissingError):
        submission(ledger, Hash32(bytes(32)))


def test_what_is_no_item_is_refused_with_its_code(rehearsal: Rehearsal, ledger: Ledger) -> None:
    received = receive(ledger, b"hello")
    judged = judge_submission(ledger, received.digest)
    assert (judged.state, judged.code, judged.uid) == (SubmissionState.REFUSED, "file.not-a-batch", None)


def test_what_came_too_early_is_taken_when_it_is_sent_again(
    rehearsal: Rehearsal, ledger: Ledger, contents: list[bytes]
) -> None:
    early = judge_submission(ledger, receive(ledger, contents[0]).digest)
    assert early.code == "batch.early"
    at(rehearsal, ledger, ledger.calendar.end(EPOCH) + DELIVERY_SECONDS)
    again = judge_submission(ledger, receive(ledger, contents[0]).digest)
    assert (again.number, again.state) == (2, SubmissionState.ADMITTED)


def test_a_full_queue_makes_nobody_late(rehearsal: Rehearsal, ledger: Ledger, contents: list[bytes]) -> None:
    """In time, and judged after the cut-off: by a worker, or by the freeze at the latest."""
    at(rehearsal, ledger, ledger.calendar.end(EPOCH) + DELIVERY_SECONDS)
    in_time = [receive(ledger, content) for content in contents[:3]]
    at(rehearsal, ledger, ledger.calendar.cut_off(EPOCH) + DELIVERY_SECONDS)
    late = receive(ledger, contents[3])
    assert judge_submission(ledger, in_time[0].digest).is_admitted
    step(ledger, EPOCH)
    assert state_of(ledger, EPOCH) is EpochState.FROZEN
    assert [submission(ledger, each.digest).is_admitted for each in in_time] == [True] * 3
    assert judge_submission(ledger, late.digest).code == "batch.late"


def test_a_worker_that_died_between_judging_and_saying_so_is_no_difference(
    rehearsal: Rehearsal, ledger: Ledger, contents: list[bytes]
) -> None:
    at(rehearsal, ledger, ledger.calendar.end(EPOCH) + DELIVERY_SECONDS)
    received = receive(ledger, contents[0])
    collect.submit(ledger, contents[0], now=received.received_at)
    judged = judge_submission(ledger, received.digest)
    assert judged.is_admitted
    refused = receive(ledger, b"hello")
    collect.submit(ledger, b"hello", now=refused.received_at)
    assert judge_submission(ledger, refused.digest).code == "file.not-a-batch"


RECEIVE = """
import sys
from pathlib import Path
from ledger.steps.intake.inbox import receive
from ledger.workspace import Workspace
ledger = Workspace.at(Path(sys.argv[1])).open()
print(receive(ledger, b"hello").state, flush=True)
"""


@pytest.mark.parametrize(("point", "is_kept"), [("receive.before_commit", False), ("receive.after_commit", True)])
def test_a_receiver_that_dies_has_kept_it_or_has_not(
    rehearsal: Rehearsal, ledger: Ledger, point: str, is_kept: bool
) -> None:
    """Nobody was told "received" in either case: who hands it in again loses nothing."""
    done = subprocess.run(
        [sys.executable, "-c", RECEIVE, str(rehearsal.workspace.root)],
        env=os.environ | {FAULTPOINT_VARIABLE: point}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, ""), done.stderr
    assert [each.size for each in waiting_submissions(ledger)] == [len(b"hello")] * is_kept
    assert receive(ledger, b"hello").number == 1


def test_a_revocation_waits_for_the_batch_that_was_handed_in_before_it(
    rehearsal: Rehearsal, ledger: Ledger, contents: list[bytes]
) -> None:
    at(rehearsal, ledger, ledger.calendar.end(EPOCH) + DELIVERY_SECONDS)
    batch = next(iter(rehearsal.network.batches(EPOCH, ledger.domain)))
    key = next(each for each in rehearsal.network.verifiers if each.address == batch.header.verifier).signer
    named = Revocation(batch_uid=batch.uid, record=WHOLE_BATCH, reason=1, revoked_at=ledger.clock.now())
    digest = named.digest(ledger.domain)
    signed = SignedRevocation(uid=digest, revocation=named, signature=key.sign(digest))
    first = receive(ledger, write_batch(batch, ledger.domain))
    second = receive(ledger, write_revocation(signed, ledger.domain))
    assert judge_submission(ledger, second.digest).state is SubmissionState.RECEIVED, "its batch may be waiting"
    assert judge_waiting(ledger, until=ledger.calendar.cut_off(EPOCH)) == 2
    assert submission(ledger, first.digest).is_admitted
    assert submission(ledger, second.digest).is_admitted


def test_an_epoch_is_not_frozen_over_what_came_in_time(
    rehearsal: Rehearsal, ledger: Ledger, contents: list[bytes]
) -> None:
    at(rehearsal, ledger, ledger.calendar.end(EPOCH) + DELIVERY_SECONDS)
    received = receive(ledger, contents[0])
    at(rehearsal, ledger, ledger.calendar.cut_off(EPOCH) + DELIVERY_SECONDS)
    rehearsal._time(ledger).mine()
    assert isinstance(fix(ledger, EPOCH), Waiting), "as if it had come after the freeze had judged what was there"
    step(ledger, EPOCH)
    assert state_of(ledger, EPOCH) is EpochState.FROZEN
    assert submission(ledger, received.digest).is_admitted


def test_a_second_signature_over_an_item_that_is_being_stored_is_that_item(
    rehearsal: Rehearsal, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = list(rehearsal.network.registrations(ledger.domain))[:2]
    kept = store_registration(ledger.evidence, first, ledger.domain)
    looks = iter([None])
    seen = ledger.evidence.find
    monkeypatch.setattr(ledger.evidence, "find", lambda kind, uid: next(looks, seen(kind, uid)))
    again = SignedRegistration(uid=first.uid, registration=first.registration, signature=other.signature)
    assert store_registration(ledger.evidence, again, ledger.domain) == kept
