"""Worker processes: threads of which exactly one moves at a time, so that a seed decides every interleaving.

Each worker has one thread for all its tasks, and hands over by plain locks: both are cheaper than what they replace.
A worker can be held at any moment that is not inside a database transaction, and killed at any moment: what it had
in memory is gone, its locks are released, an open transaction is rolled back. Left out: several machines' clocks and
torn writes below the database.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.model.errors import LedgerError
from ledger.steps.ledger import Ledger

from .broker import Message

Task = Callable[[Ledger], object]


class KilledError(BaseException):
    """The process ends here, as by SIGKILL: no handler may stop it."""


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class Worker:
    """One process: its ledger lives as long as it does."""

    number: int
    open_ledger: Callable[[], Ledger]
    ledger: Ledger | None = None
    doing: str = ""
    """The task it is in, empty while it is idle."""
    message: Message | None = None
    """The doorbell message it holds."""
    error: BaseException | None = None
    """How the last task ended, when not well."""
    _task: Task | None = None
    """What its thread is to do next; None ends it."""
    _thread: threading.Thread | None = None
    _go: threading.Lock = field(default_factory=_taken)
    _back: threading.Lock = field(default_factory=_taken)
    _is_to_die: bool = False

    def start(self, what: str, task: Task) -> None:
        """Begin a task and run up to its end or to the first place it is held at."""
        self.doing, self.error, self._task = what, None, task
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, daemon=True)
            self._thread.start()
        self.resume()

    def resume(self) -> None:
        """Let a held worker go on."""
        self._go.release()
        self._back.acquire()

    def kill(self) -> None:
        """End a held worker where it is; an idle one just loses its memory."""
        if self.doing:
            self._is_to_die = True
            self.resume()
            self._is_to_die = False
        self.ledger = None

    def end(self) -> None:
        """Kill it for good: its thread ends too."""
        self.kill()
        if self._thread is not None:
            self._task = None
            self._go.release()
            self._thread.join()
            self._thread = None

    def hold(self) -> None:
        """Called inside the task: wait until resumed or killed."""
        self._back.release()
        self._go.acquire()
        if self._is_to_die:
            raise KilledError

    def _live(self) -> None:
        while True:
            self._go.acquire()
            if self._task is None:
                return
            self._run(self._task)
            self._back.release()

    def _run(self, task: Task) -> None:
        try:
            if self.ledger is None:
                self.ledger = self.open_ledger()
            task(self.ledger)
        except KilledError as killed:
            self.ledger, self.error = None, killed
        except LedgerError as refused:
            self.error = refused
        except BaseException as surprise:  # noqa: BLE001 - the run reports it as a violation
            self.error = surprise
        finally:
            self.doing = ""
