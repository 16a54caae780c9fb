"""Golden epochs for every test: `from vectors.loader import …`, or the fixtures here."""

import os
import sys
import types
from pathlib import Path

import pytest

# tests/ is no package (import mode importlib), so the vectors get a name of their own.
_VECTORS = types.ModuleType("vectors")
_VECTORS.__path__ = [str(Path(__file__).parent / "vectors")]
sys.modules.setdefault("vectors", _VECTORS)

from vectors import loader  # noqa: E402 - the name exists from here on


@pytest.fixture(scope="session")
def golden_epochs() -> "list[loader.GoldenEpoch]":
    """Every golden epoch, the worked example first."""
    return loader.golden_epochs()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where no test may be skipped (CI), a skipped one fails the run and says why."""
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("ATH_LEDGER_NO_SKIPS") and skipped:
        for report in skipped:
            terminalreporter.write_line(f"skipped, but must not be: {report.nodeid}: {report.longrepr}", red=True)
        pytest.exit(f"{len(skipped)} tests were skipped", returncode=1)
