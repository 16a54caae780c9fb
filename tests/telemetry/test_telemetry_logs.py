"""A log line is one line: named, dated in UTC, with its fields, without secrets, and never on standard output."""

import ast
import json
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ledger.db.errors import DatabaseUnavailableError
from ledger.settings import Settings
from ledger.telemetry.logs import bound, failure, log, start_logging, stop_logging

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    yield
    stop_logging()


class Stderr:
    """What was written to standard error since the test began."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def text(self) -> str:
        out, err = self._capsys.readouterr()
        assert out == ""
        self._text += err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    return Stderr(capsys)


def lines(stderr: Stderr) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.text().splitlines()]


def start(tmp_path: Path, **chosen: Any) -> None:
    start_logging(Settings(**chosen), program="run", folder=tmp_path / "logs")


def test_a_line_is_json_off_a_terminal_with_name_time_and_fields(tmp_path: Path, stderr: Stderr) -> None:
    before = datetime.now(UTC)
    start(tmp_path)
    with bound(epoch=3):
        log.info("epoch.moved", state="sealed", tx=b"\x01\x02", payout_wei=2**60)
    log.info("batch.judged")
    first, second = lines(stderr)
    at = datetime.fromisoformat(first.pop("at"))
    assert at.utcoffset() is not None
    assert abs((at - before).total_seconds()) < 60
    assert first.pop("pid") > 0
    assert first == {
        "level": "info", "event": "epoch.moved", "program": "run", "epoch": 3, "state": "sealed", "tx": "0x0102",
        "payout_wei": str(2**60),
    }  # fmt: skip
    assert "epoch" not in second


def test_a_terminal_gets_a_line_for_people(tmp_path: Path, stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    start(tmp_path)
    log.warning("chain.lagging", blocks=4, why="the node is behind")
    line = stderr.text()
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  warning chain\.lagging  blocks=4  why="the node is behind"\n', line
    )


@pytest.mark.parametrize("form", ["human", "json"])
def test_what_a_stranger_wrote_can_neither_forge_a_line_nor_steer_a_terminal(
    tmp_path: Path, stderr: Stderr, form: str
) -> None:
    start(tmp_path, log_format=form)
    log.info("item.refused", what='x\n{"event": "epoch.moved"}\x1b[2J\x9b31m\u2028end')
    shown = stderr.text()
    assert len(shown.splitlines()) == 1
    assert shown.strip("\n").isprintable()


def test_secrets_reach_no_line_whichever_way_they_come(tmp_path: Path, stderr: Stderr) -> None:
    start(tmp_path, rpc_url="https://node.example/v3/rpckey0123456789", database_url="postgresql://u:hunter2pass@db/x")
    log.error("step.failed", **failure(DatabaseUnavailableError("postgresql://u:hunter2pass@db/x: refused")))
    log.info("chain.connected", url="https://node.example/v3/rpckey0123456789", password="x9")
    logging.getLogger("urllib3.connectionpool").warning("retry: %s", "/v3/rpckey0123456789")
    try:
        int("hunter2pass")
    except ValueError:
        log.exception("step.broke", nested={"deep": ["redis://:hunter2pass@h"]})
    shown = stderr.text()
    assert len(lines(stderr)) == 4
    for secret in ("hunter2pass", "rpckey0123456789", "x9"):
        assert secret not in shown
    assert "db.unavailable" in shown
    assert "ValueError" in shown


def test_libraries_and_warnings_come_out_the_same_way_and_their_chatter_does_not(
    tmp_path: Path, stderr: Stderr
) -> None:
    start(tmp_path, log_level="debug")
    logging.getLogger("celery.worker").info("mingle")
    logging.getLogger("celery.worker").error("connection lost")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", UserWarning, stacklevel=1)
    said = [(line["event"], line["message"]) for line in lines(stderr)]
    assert said[0] == ("celery.said", "connection lost")
    assert said[1][0] == "py.said"
    assert "UserWarning: old" in said[1][1]


def test_the_level_is_kept(tmp_path: Path, stderr: Stderr) -> None:
    start(tmp_path, log_level="warning")
    log.info("epoch.moved")
    log.warning("epoch.halted")
    assert [line["event"] for line in lines(stderr)] == ["epoch.halted"]


def test_the_folder_gets_one_file_a_program_that_may_be_rotated(tmp_path: Path, stderr: Stderr) -> None:
    start(tmp_path, log_to="folder")
    file = tmp_path / "logs" / "run.log"
    log.info("run.started")
    file.rename(file.with_suffix(".1"))
    log.info("run.stopped")
    assert [json.loads(each.read_text())["event"] for each in (file.with_suffix(".1"), file)] == [
        "run.started",
        "run.stopped",
    ]
    assert stderr.text() == ""


def test_nothing_is_printed_before_logging_starts_and_never_to_standard_output(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from ledger.settings import Settings\n"
        "from ledger.telemetry.logs import log, start_logging\n"
        "log.error('epoch.halted')\n"
        "start_logging(Settings(), program='run', folder=Path('logs'))\n"
        "log.info('epoch.moved', epoch=1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == ""
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["epoch.moved"]


def events_in_sources() -> set[tuple[str, str]]:
    found = set()
    for file in sorted((ROOT / "ledger").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"debug", "info", "warning", "error", "critical", "exception", "log"}
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                first = node.args[0] if node.args else None
                name = first.value if isinstance(first, ast.Constant) else ast.unparse(node)
                found.add((str(file.relative_to(ROOT)), str(name)))
    return found


def test_every_event_has_a_stable_name_that_the_reference_explains() -> None:
    reference = (ROOT / "docs" / "reference" / "logs.md").read_text(encoding="utf-8")
    found = events_in_sources()
    badly_named = [each for each in found if not re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*", each[1])]
    assert badly_named == []
    assert [each for each in sorted(found) if f"`{each[1]}`" not in reference] == []
