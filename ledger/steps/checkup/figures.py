"""What the database knows, as metrics: gathered when somebody asks, in one snapshot, in bounded time.

Any process can answer for the whole ledger, because truth is in the database. What only grows (arrivals, refusals,
judged submissions) is counted on from the last look; the rest are a few rows found by index.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.metrics_core import Metric
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from ledger import __version__
from ledger.chain.local.demo_time import ChainClock
from ledger.db import chain_log, epochs, figures, journal
from ledger.db.chain_log import FinalPoint
from ledger.db.engine import SCHEMA_REVISIONS
from ledger.db.outbox_entry import OutboxState
from ledger.model.epoch import EpochState
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, Timestamp
from ledger.steps.checkup.question import Question
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.open_differences import open_differences
from ledger.telemetry.metrics import GATHERED, exposition, family

FRESH_SECONDS: Final = 3
"""How long one look serves everybody who asks."""
PATIENCE_SECONDS: Final = 5
"""How long who asks waits for the database before hearing that it does not answer."""
_LATE_COMMIT_SECONDS: Final = 900
"""How much later than it was received a submission may be committed and still be seen."""

_EVER: Final = Timestamp(0)

Figure = tuple[str, tuple[str, ...], int]
"""A metric's name, the values of its labels, its value."""


@dataclass(slots=True, kw_only=True)
class Figures:
    """Looks at one ledger's database for everybody who asks; safe to share between threads."""

    ledger: Ledger
    fresh_seconds: float = FRESH_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    _question: "Question[list[Figure]]" = field(init=False)
    _tally: "_Tally" = field(default_factory=lambda: _Tally())

    def __post_init__(self) -> None:
        self._question = Question(ask=self._look, fresh_seconds=self.fresh_seconds)

    def collect(self) -> Iterator[Metric]:
        """Every gathered metric; `database_up 0` alone when the database fails or does not answer in time."""
        try:
            found = self._question.answer(self.patience_seconds)
        except (LedgerError, SQLAlchemyError, TimeoutError):
            found = [("database_up", (), 0)]
        samples: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        for name, labels, value in found:
            samples.setdefault(name, []).append((labels, value))
        for name, each in samples.items():
            yield family(GATHERED[name], each)

    def _look(self) -> list[Figure]:
        with self.ledger.database.reading() as session:
            return [*_figures(self.ledger, session, self._tally), *self._tally.figures(session)]


def render(figures_of: Figures) -> bytes:
    """Everything there is to scrape: the database's figures, and what this process or service counted."""
    return exposition(figures_of.collect())


def render_without_database() -> bytes:
    """What can be said where the database cannot even be opened."""
    return exposition([family(GATHERED["database_up"], [((), 0)])])


@dataclass(slots=True)
class _Tally:
    """Running counts of what only grows: each look adds what came since."""

    arrival: int = 0
    items: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusal: int = 0
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    judged_until: Timestamp = _EVER
    """What was received before it has its verdict, for ever."""

    def figures(self, session: Session) -> Iterator[Figure]:
        """What came in and what was refused at the door, since the ledger began."""
        self.arrival, items = figures.items_after(session, self.arrival)
        self.items.update(items)
        self.refusal, refusals = figures.refusals_after(session, self.refusal)
        self.refusals.update(refusals)
        yield from (("items_total", labels, count) for labels, count in sorted(self.items.items()))
        yield from (("refusals_total", labels, count) for labels, count in sorted(self.refusals.items()))

    def waiting(self, session: Session) -> tuple[int, Timestamp | None]:
        """How many submissions wait for a verdict, and when the oldest of them came."""
        count, oldest = figures.submissions_waiting(session, self.judged_until)
        newest = figures.newest_submission(session)
        looked_until = oldest if oldest is not None else newest
        if looked_until is not None:
            self.judged_until = Timestamp(max(self.judged_until, looked_until - _LATE_COMMIT_SECONDS))
        return count, oldest


def _figures(ledger: Ledger, session: Session, tally: _Tally) -> Iterator[Figure]:
    yield "database_up", (), 1
    yield "build_info", (__version__, SCHEMA_REVISIONS[-1]), 1
    yield "epoch_length_seconds", (), ledger.calendar.length
    yield "journal_entries_total", (), journal.last_seq(session)
    yield "suspense_open", (), len(open_differences(session))
    yield from _epochs(session)
    yield from _verdicts(session)
    chain_id = ledger.domain.chain_id
    in_state = figures.outbox_by_state(session, chain_id)
    yield from (("outbox_entries", (state.value,), in_state.get(state.value, 0)) for state in OutboxState)
    yield "chain_reorgs_total", (), figures.reorg_count(session, chain_id)
    final = chain_log.final_point(session, chain_id)
    now = _now(ledger, final)
    if final is not None:
        yield "chain_final_block", (), final.number
        yield "finality_lag_blocks", (), final.head_number - final.number
        yield "finality_lag_seconds", (), max(0, now - final.timestamp)
    waiting, oldest = tally.waiting(session)
    yield "submissions_waiting", (), waiting
    planned = figures.oldest_unmined_transaction(session, chain_id)
    # how long the oldest thing that could be done waits for somebody to do it
    for queue, since in (("epoch", _due_since(ledger, session)), ("outbox", planned), ("submissions", oldest)):
        yield "queue_age_seconds", (queue,), 0 if since is None else max(0, now - since)


def _epochs(session: Session) -> Iterator[Figure]:
    in_state = figures.epochs_by_state(session)
    yield from (("epochs", (state.value,), in_state.get(state, 0)) for state in EpochState)
    yield "epochs_halted", (), in_state.get(EpochState.HALTED, 0)
    for state in (EpochState.SEALED, EpochState.FINAL):
        last = figures.last_entered(session, state)
        if last is not None:
            epoch, at = last
            yield f"last_{state}_epoch", (), epoch
            yield f"last_{state}_timestamp_seconds", (), at


def _verdicts(session: Session) -> Iterator[Figure]:
    last = figures.last_entered(session, EpochState.COMPUTED)
    if last is not None:
        attempt = epochs.current(session, last[0]).attempt
        for (scope, code), count in epochs.verdict_counts(session, last[0], attempt).items():
            yield "epoch_verdicts", (scope, code or "accepted"), count


def _due_since(ledger: Ledger, session: Session) -> Timestamp:
    """Since when the first epoch that is not final could have moved; in the future while it could not."""
    epoch = epochs.first_unfinished(session)
    since = figures.standing_since(session, epoch)
    state = epochs.state_of(session, epoch)
    if since is None or state is EpochState.OPEN:
        return Timestamp(ledger.calendar.cut_off(epoch) + 1)
    if state is EpochState.FROZEN and epoch > 0:
        before = figures.standing_since(session, EpochNumber(epoch - 1))
        return max(since, before if before is not None else since)
    if state is EpochState.PROPOSED:
        # the challenge window is shorter than an epoch; how long it is, only the deployment knows
        return Timestamp(since + ledger.calendar.length)
    return since


def _now(ledger: Ledger, final: FinalPoint | None) -> Timestamp:
    """The ledger's time; for one that lives in its chain's time the last it saw: no scrape waits for a node."""
    if isinstance(ledger.clock, ChainClock):
        return Timestamp(0) if final is None else final.timestamp
    return ledger.clock.now()
