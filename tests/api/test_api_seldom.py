"""A line any stranger can cause is written once a minute, and says how many were left out."""

import logging

from ledger.api.limits.seldom import EVERY_SECONDS, Seldom


def record(text: str, at: float, level: int = logging.WARNING) -> logging.LogRecord:
    made = logging.LogRecord("x", level, __file__, 1, text, None, None)
    made.created = at
    return made


def test_a_warning_is_written_once_a_minute_with_how_many_were_left_out() -> None:
    seldom = Seldom()
    written = [made.msg for at in range(150) if seldom.filter(made := record("no HTTP", 1000.0 + at))]
    assert EVERY_SECONDS == 60
    assert written == ["no HTTP", "no HTTP (59 more like it before)", "no HTTP (59 more like it before)"]


def test_other_warnings_and_errors_are_not_held_back() -> None:
    seldom = Seldom()
    assert seldom.filter(record("no HTTP", 1000.0))
    assert seldom.filter(record("another", 1000.0))
    assert all(seldom.filter(record("broken", 1000.0, logging.ERROR)) for _ in range(3))
