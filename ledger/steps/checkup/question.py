"""A question that may take long, asked once for everybody who wants to know, with a limit to each one's patience."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Answered = TypeVar("Answered")


@dataclass(slots=True, kw_only=True)
class Question(Generic[Answered]):
    """One thing that is asked again and again; safe to share between threads.

    Whatever is asked about may hang: that holds one thread, however many want to know, and none of them for longer than
    they said. An answer serves all for `fresh_seconds`.
    """

    ask: Callable[[], Answered]
    fresh_seconds: float
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: "Future[Answered] | None" = None
    _answered_at: float = 0.0

    def begin(self) -> None:
        """Ask, if the last answer is too old; do not wait."""
        self._current()

    def answer(self, patience_seconds: float) -> Answered:
        """The answer. TimeoutError when it did not come in time, and whatever asking raised."""
        return self._current().result(patience_seconds)

    def _current(self) -> "Future[Answered]":
        with self._lock:
            asked = self._asked
            if asked is None or (asked.done() and time.monotonic() - self._answered_at >= self.fresh_seconds):
                self._asked = asked = Future()
                threading.Thread(target=self._run, args=(asked,), name="ledger-question", daemon=True).start()
            return asked

    def _run(self, asked: "Future[Answered]") -> None:
        try:
            answer = self.ask()
        except BaseException as error:  # noqa: BLE001 - a thread's edge: who waits for the answer raises it
            self._answered_at = time.monotonic()
            asked.set_exception(error)
        else:
            self._answered_at = time.monotonic()
            asked.set_result(answer)
