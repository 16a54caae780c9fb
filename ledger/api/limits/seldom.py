"""Log lines that any stranger can cause, once a minute: a log must not fill a disk."""

import logging
from typing import Final

EVERY_SECONDS: Final = 60


class Seldom(logging.Filter):
    """Lets a warning through once a minute, with how many of its like were left out before it; all else passes."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; its text may be lengthened."""
        if record.levelno != logging.WARNING:
            return True
        kind = str(record.msg)
        if record.created - self._last.get(kind, -EVERY_SECONDS) < EVERY_SECONDS:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        self._last[kind] = record.created
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            record.msg = f"{kind} ({left_out} more like it before)"
        return True
