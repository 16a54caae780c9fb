"""The exports in the programs they are made for, started as anybody would: bean-check, Fava, Datasette."""

import csv
import io
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.cli.edge import run

PROGRAMS = Path(sys.executable).parent
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def exports(eventful_example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The books after a claim, a retirement and a correction, in every form."""
    folder = tmp_path_factory.mktemp("exports")
    for form in ("beancount", "sqlite", "csv"):
        words = ["audit", "export-books", "--format", form, "--out", str(folder), "--workspace", str(eventful_example)]
        assert run(words) == 0
    return folder


def program(name: str) -> str:
    place = PROGRAMS / name
    if not place.exists():
        pytest.skip(f"{name} is not installed: pip install -r requirements/dev.txt")
    return str(place)


@contextmanager
def served(arguments: list[str], first: str) -> Iterator[str]:
    """The address of a server that answers its first page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [*arguments, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                get(base + first)
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield base
    finally:
        process.terminate()
        process.communicate()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def rows_of(exports: Path, table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((exports / f"{table}.csv").read_text())))


def test_bean_check_passes(exports: Path) -> None:
    done = subprocess.run(
        [program("bean-check"), "--no-cache", str(exports / "books.beancount")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_bean_check_would_have_seen_a_wei_too_much(exports: Path, tmp_path: Path) -> None:
    """So that its silence means something."""
    lines = (exports / "books.beancount").read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("  ") and line.endswith(" WEI"))
    account, amount, unit = lines[at].split()
    lines[at] = f"  {account}  {int(amount) + 1} {unit}"
    place = tmp_path / "wrong.beancount"
    place.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [program("bean-check"), "--no-cache", str(place)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "does not balance" in done.stderr


def test_fava_loads_the_ledger_without_an_error_and_shows_every_account(exports: Path) -> None:
    arguments = [program("fava"), "--host", "127.0.0.1", str(exports / "books.beancount")]
    with served(arguments, "/") as base:
        page = get(base + "/ath-ledger/income_statement/")
        assert "ATH Ledger" in page
        data = json.loads(page.split('id="ledger-data">')[1].split("</script>")[0])
        assert data["errors"] == []
        accounts = {account.split(":", 1)[1].lower().replace(":", "/") for account in data["accounts"]}
        assert {row["account"].lower() for row in rows_of(exports, "balances")} <= accounts
        journal = get(base + "/ath-ledger/journal/?filter=%23")
        assert "<html" in journal


def test_datasette_serves_every_row_of_the_copy(exports: Path) -> None:
    arguments = [program("datasette"), "serve", "--immutable", str(exports / "books.sqlite"), "--host", "127.0.0.1"]
    with served(arguments, "/-/versions.json") as base:
        for table in ("entries", "transfers", "balances"):
            rows = json.loads(get(f"{base}/books/{table}.json?_shape=array&_size=max"))
            told = [{name: str(value) for name, value in row.items() if name != "rowid"} for row in rows]
            assert told == rows_of(exports, table)
        assert "retirement" in get(f"{base}/books/journal.json?_shape=array&_size=max")
        assert "<table" in get(f"{base}/books/transfers")
