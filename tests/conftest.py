"""What every test may stand on: golden epochs (`vectors.loader`), real servers (`servers`), migrated databases."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from ledger.db import migrations
from ledger.db.engine import open_database

# tests/ is no package (import mode importlib): what tests share is imported from here by its own name
sys.path.insert(0, str(Path(__file__).parent))

import servers
from vectors import loader

pytest_plugins = ["matrix.recorder"]


@pytest.fixture(scope="session")
def golden_epochs() -> "list[loader.GoldenEpoch]":
    """Every golden epoch, the worked example first."""
    return loader.golden_epochs()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real PostgreSQL for the whole run; its role may create databases."""
    with servers.postgres(tmp_path_factory.mktemp("pg")) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real server that speaks Redis for the whole run. Tests share it: each uses key prefixes or a database number
    of its own (see `servers.redis` for one that may be killed)."""
    with servers.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def migrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[str | None, str]]:
    """The server and a migrated place of an engine, to be copied; made once."""

    @cache
    def make(engine: str) -> tuple[str | None, str]:
        server_url = request.getfixturevalue("postgres_url") if engine == "postgresql" else None
        template = servers.new_place(engine, tmp_path_factory.mktemp("template"), server_url)
        made = open_database(template, create=True)
        migrations.upgrade(made)
        made.close()
        return server_url, template

    return make


@pytest.fixture
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Makes the URL of an empty place on an engine."""

    def make(engine: str) -> str:
        server_url = request.getfixturevalue("postgres_url") if engine == "postgresql" else None
        return servers.new_place(engine, tmp_path, server_url)

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where no test may be skipped (CI), a skipped one fails the run and says why."""
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("ATH_LEDGER_NO_SKIPS") and skipped:
        for report in skipped:
            terminalreporter.write_line(f"skipped, but must not be: {report.nodeid}: {report.longrepr}", red=True)
        pytest.exit(f"{len(skipped)} tests were skipped", returncode=1)
