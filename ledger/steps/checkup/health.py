"""Whether a process lives, and whether it can do its work: every question bounded in time, asked once for all who ask.

Ready means: the database answers with the schema and the guards of this version, the chain is the right one (or what
the books know of it is fresh), there is room on the disk. What stops payouts but not answers (a halted epoch, a
difference in suspense, a broker or a node that is away) is said, and takes nothing out of service.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from ledger import __version__
from ledger.chain.errors import CodeMissingError, OtherGenesisError, WrongChainError
from ledger.chain.local.demo_time import ChainClock
from ledger.db import chain_log
from ledger.db.engine import check_revision
from ledger.db.guards import check_guards
from ledger.model.errors import EnvironmentFailure, LedgerError
from ledger.steps.checkup.books import check_epochs, check_suspense
from ledger.steps.checkup.broker import BrokerUnreachableError, check_broker
from ledger.steps.checkup.doctor import Answer, Finding, Health, beware, examine, well
from ledger.steps.checkup.folder import check_disk
from ledger.steps.checkup.question import Question
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.suspense import SuspenseOpenError

PATIENCE_SECONDS: Final = 3
"""How long one answer may take altogether; whatever did not answer by then has failed."""
FRESH_SECONDS: Final = 2
STANDING_FRESH_SECONDS: Final = 1800
"""How old the newest final block of the books may be while the node does not answer."""
_NOT_OURS: Final = (WrongChainError, OtherGenesisError, CodeMissingError)
"""No freshness makes up for the wrong chain."""


class NoAnswerError(EnvironmentFailure):
    """Something a check asks does not answer in time."""

    code = "health.no-answer"


_STARTED: Final = time.monotonic()


def live() -> dict[str, Any]:
    """That the process answers, who it is, for how long. Nobody else is asked: a restart would mend no database."""
    return {"live": True, "version": __version__, "pid": os.getpid(), "up_seconds": int(time.monotonic() - _STARTED)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, one finding a part."""

    findings: tuple[Finding, ...]

    @property
    def is_ready(self) -> bool:
        """Whether questions can be answered rightly."""
        return all(each.health is not Health.FAILED for each in self.findings)

    @property
    def is_degraded(self) -> bool:
        """Whether somebody should know something all the same."""
        return any(each.health is Health.WARNING for each in self.findings)

    def document(self) -> Mapping[str, Any]:
        """As JSON; each check with its code, what was found and what to do."""
        return {
            "ready": self.is_ready,
            "degraded": self.is_degraded,
            "checks": [
                {
                    "check": each.check,
                    "health": each.health.value,
                    "code": each.code,
                    "found": each.found,
                    "next": each.remedy,
                }
                for each in self.findings
            ],
        }


@dataclass(slots=True, kw_only=True)
class Readiness:
    """Asks all that a ready ledger needs, side by side; make one for each process."""

    ledger: Ledger
    root: Path
    """The workspace's folder, whose disk must have room."""
    broker_url: str = "memory://"
    patience_seconds: float = PATIENCE_SECONDS
    fresh_seconds: float = FRESH_SECONDS
    _questions: "dict[str, Question[Finding]]" = field(init=False)
    _node: "Question[Answer]" = field(init=False)

    def __post_init__(self) -> None:
        self._node = Question(ask=self._ask_node, fresh_seconds=self.fresh_seconds)
        checks: dict[str, Callable[[], Answer]] = {
            "database": self._database,
            "epochs": self._epochs,
            "suspense": lambda: _said(lambda: check_suspense(self.ledger.database), SuspenseOpenError),
            "chain": self._chain,
            "broker": lambda: _said(lambda: check_broker(self.broker_url), BrokerUnreachableError),
            "disk": lambda: check_disk(self.root),
        }
        self._questions = {
            name: Question(ask=_examination(name, check), fresh_seconds=self.fresh_seconds)
            for name, check in checks.items()
        }

    def look(self) -> Report:
        """How it stands, within `patience_seconds` altogether."""
        deadline = time.monotonic() + self.patience_seconds
        for question in self._questions.values():
            question.begin()
        return Report(findings=tuple(self._finding(name, deadline) for name in self._questions))

    def _finding(self, name: str, deadline: float) -> Finding:
        try:
            return self._questions[name].answer(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            found = f"no answer within {self.patience_seconds:g} s"
            code = NoAnswerError.code
        except SQLAlchemyError as error:
            found, code = type(error).__name__, "db.unavailable"
        return Finding(check=name, health=Health.FAILED, code=code, found=found, remedy="ath-ledger doctor")

    def _database(self) -> Answer:
        """Reachable, with this version's schema and guards."""
        check_revision(self.ledger.database)
        with self.ledger.database.reading() as session:
            check_guards(session.connection())
        return well(f"{self.ledger.database.place} answers, guarded")

    def _epochs(self) -> Answer:
        """A halted epoch stops payouts; what is in the books can be answered all the same."""
        health, found, code, remedy = check_epochs(self.ledger.database)
        return (Health.WARNING if health is Health.FAILED else health, found, code, remedy)

    def _chain(self) -> Answer:
        """The node answers and serves our chain; while it is away, fresh books will do for answers."""
        try:
            return self._node.answer(self.patience_seconds / 2)
        except TimeoutError:
            return self._without_node(NoAnswerError(f"the node gives no answer within {self.patience_seconds / 2:g} s"))
        except _NOT_OURS:
            raise
        except EnvironmentFailure as error:
            return self._without_node(error)

    def _ask_node(self) -> Answer:
        connection = self.ledger.settlement().connection
        connection.check_identity()
        return well(f"chain {connection.chain_id} at block {connection.head().number}")

    def _without_node(self, error: EnvironmentFailure) -> Answer:
        with self.ledger.database.reading() as session:
            final = chain_log.final_point(session, self.ledger.domain.chain_id)
        if final is None:
            raise error
        found = f"{error.what}; the books are final up to block {final.number}"
        if isinstance(self.ledger.clock, ChainClock):  # a rehearsal's time stands still with its chain
            return beware(error.code, found, error.hint)
        age = self.ledger.clock.now() - final.timestamp
        if age > STANDING_FRESH_SECONDS:
            raise error
        return beware(error.code, f"{found}, {age} s ago", error.hint)


def _said(check: Callable[[], Answer], stops_no_answer: type[LedgerError]) -> Answer:
    """The check's answer, with one failure as a warning: a difference on record stops payouts, a broker that is away
    leaves work to the sweep; questions are answered, and what is handed in is kept, all the same."""
    try:
        return check()
    except stops_no_answer as error:
        return beware(error.code, error.what, error.hint)


def _examination(name: str, check: Callable[[], Answer]) -> Callable[[], Finding]:
    return lambda: examine(name, check)
