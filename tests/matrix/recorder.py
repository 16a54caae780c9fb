"""Gathers what became of every test that proves a row, wherever it stands, and writes the page at the end.

A plugin of its own, loaded by tests/conftest.py: with xdist the process that writes collects nothing itself.
"""

import os
from pathlib import Path

import pytest
from matrix import reliability
from matrix.rows import NAMES

RELIABILITY = "ATH_LEDGER_RELIABILITY"
_reports: list[tuple[list[str], str, str, float]] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write the rows of every test on it, so that its report carries them, from another process too."""
    for item in items:
        rows = [str(mark.args[0]) for mark in item.iter_markers("row")]
        unknown = sorted(set(rows) - NAMES)
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: the fault matrix has no row {unknown}")
        if rows:
            documented = getattr(getattr(item, "function", None), "__doc__", None)
            item.user_properties.append(("row", [rows, reliability.said_of(item.name, documented)]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what became of every test that has a row."""
    if report.when == "call" or report.outcome != "passed":
        for name, value in report.user_properties:
            if name == "row":
                rows, said = value  # type: ignore[misc]
                _reports.append((rows, str(said), report.outcome, report.duration))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page, where one is asked for and this is not a worker of somebody else's run."""
    path = os.environ.get(RELIABILITY)
    if path and _reports and not hasattr(session.config, "workerinput"):
        Path(path).write_text(reliability.page(reliability.gathered(_reports)), encoding="utf-8")
