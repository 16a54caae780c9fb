"""What a worker does when a bell rings: each task is thin, may run twice or at once, and makes at most one transition.

A task never fails for a reason that a person or the surroundings have to mend: it says so, and the sweep rings again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from celery import Celery

from ledger.db import outbox
from ledger.db.epochs import StaleStateError
from ledger.db.exclusion import HeldElsewhereError
from ledger.model.epoch import EpochState
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, Hash32
from ledger.steps.computing.registrations import missing_shards, prepare_shard
from ledger.steps.drive import next_epoch
from ledger.steps.intake.inbox import Submission, SubmissionState, judge_submission, submission, waiting_submissions
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.booking import record
from ledger.steps.reconciling.reconcile import reconcile
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.transition import Moved, StepResult
from ledger.tasks import bell
from ledger.telemetry.metrics import reconciled, timed_step

SWEPT_AT_ONCE = 500
"""So many waiting submissions are rung for by one sweep; the next one takes the rest."""

Heard = StepResult | Submission | LedgerError
Told = Callable[[Heard], None]


@dataclass(frozen=True, slots=True)
class Work:
    """The tasks of one worker. `opened` gives the ledger of the process that asks; `told` hears what came of it."""

    app: Celery
    opened: Callable[[], Ledger]
    told: Told
    reconciles: bool

    def advance(self, epoch: int, expected_version: int) -> None:
        """Take one step of an epoch, and ring for the next."""
        ledger = self.opened()
        result = bell.advance_once(ledger, EpochNumber(epoch), expected_version)
        if result is None:
            return
        self.told(result)
        if isinstance(result, Moved):
            self._moved(ledger, result)

    def verify(self, digest: str) -> None:
        """Judge a submission, unless another bell for it was heard before."""
        ledger, handed_in = self.opened(), Hash32(bytes.fromhex(digest))
        if submission(ledger, handed_in).state is SubmissionState.RECEIVED:
            with timed_step("judge"):
                self.told(judge_submission(ledger, handed_in))

    def prepare(self, epoch: int, number: int) -> None:
        """Verify one shard of an epoch's registrations ahead."""
        with timed_step("shard"):
            prepare_shard(self.opened(), EpochNumber(epoch), number)

    def send(self) -> None:
        """Send what is planned, and see what became of what was sent."""
        with timed_step("send"):
            send_planned(self.opened())

    def follow(self) -> None:
        """Book what became final."""
        ledger = self.opened()
        with timed_step("follow"):
            moved = follow(ledger)
        for each in moved:
            self.told(each)
            self._moved(ledger, each)

    def reconcile(self) -> None:
        """Hold the books against the chain, recomputation left out; what differs goes to suspense."""
        ledger = self.opened()
        with timed_step("reconcile"):
            found = reconcile(ledger, recompute=False)
            if found.differing:
                record(ledger, found)
        reconciled(len(found.differing), ledger.clock.now())

    def sweep(self) -> None:
        """Ring for all that could go on: a lost message costs time, and nothing else."""
        ledger = self.opened()
        with timed_step("sweep"):
            for waiting in waiting_submissions(ledger, limit=SWEPT_AT_ONCE):
                bell.ring_submission(self.app, waiting.digest)
            epoch = next_epoch(ledger)
            for number in missing_shards(ledger, epoch):
                bell.send(self.app, bell.PREPARE, epoch, number)
            with ledger.database.reading() as session:
                entries = outbox.entries(session, ledger.domain.chain_id)
            if entries:  # settled ones too: a block that was final may be gone, and they go out again
                bell.send(self.app, bell.SEND)
            bell.send(self.app, bell.FOLLOW)
            bell.ring(self.app, ledger)

    def _moved(self, ledger: Ledger, moved: Moved) -> None:
        bell.ring(self.app, ledger)
        if moved.state is EpochState.FINAL and self.reconciles:
            bell.send(self.app, bell.RECONCILE)


def register(app: Celery, opened: Callable[[], Ledger], told: Told, *, reconciles: bool = False) -> None:
    """Let the app's worker work on a ledger. `reconciles`: hold the books against the chain after each final epoch."""
    work = Work(app, opened, told, reconciles)
    bodies: dict[str, Callable[..., None]] = {
        bell.ADVANCE: work.advance,
        bell.VERIFY: work.verify,
        bell.PREPARE: work.prepare,
        bell.SEND: work.send,
        bell.FOLLOW: work.follow,
        bell.RECONCILE: work.reconcile,
        bell.SWEEP: work.sweep,
    }
    for name, body in bodies.items():
        app.task(name=name, shared=False)(_careful(body, told))


def _careful(body: Callable[..., None], told: Told) -> Callable[..., None]:
    """A task that says what stopped it instead of failing, and leaves to others what others are at."""

    def run(*arguments: int | str) -> None:
        try:
            body(*arguments)
        except (StaleStateError, HeldElsewhereError):
            return
        except LedgerError as error:
            told(error)

    return run
