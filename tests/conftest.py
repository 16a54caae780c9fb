"""Golden epochs for every test: `from vectors.loader import …`, or the fixtures here."""

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
