"""What an answer of a node may take: how many bytes, and until when."""

import threading
import time
from typing import Final

LARGEST_ANSWER: Final = 256 * 2**20
"""Bytes, unpacked: more than a saved chain of months; whoever sends more is not believed."""
_FOR_EVER: Final = float("inf")
_LONGEST_WAIT: Final = 3600.0


class AnswerTooLargeError(Exception):
    """Reading was given up. Raised inside a request only."""


class _Deadline(threading.local):
    """Until when the request of this thread may take; without one, for ever."""

    at = _FOR_EVER

    def begin(self, seconds: float) -> None:
        """From now so many seconds."""
        self.at = time.monotonic() + seconds

    def end(self) -> None:
        """The request is over."""
        self.at = _FOR_EVER

    @property
    def is_over(self) -> bool:
        """Whether the time has passed."""
        return time.monotonic() >= self.at

    def remaining(self) -> float:
        """Seconds that are left. TimeoutError when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, _LONGEST_WAIT)


deadline: Final = _Deadline()
