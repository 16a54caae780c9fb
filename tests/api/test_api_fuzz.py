"""Requests nobody would write by hand: generated from the OpenAPI document, valid and invalid, by schemathesis.

Every check it has, and ours: no 500 or trace, every answer of the documented status, type and shape, what the schema
allows is answered, what it forbids is refused.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from http_server import Server

TESTS = Path(__file__).parents[1]
PHASES = "examples,coverage,fuzzing"


def fuzzed(server: Server, folder: Path, *, examples: int, phases: str, only: str = "") -> int:
    """Run it; how many requests were made. Fails with its report when anything was found."""
    program = Path(sys.executable).with_name("schemathesis")
    arguments = [
        program, "run", f"{server.url}/openapi.json", "--checks", "all",
        # what is beyond schemas is ours to judge, by its code: fuzz_hooks.what_the_schema_allows_is_answered
        "--exclude-checks", "positive_data_acceptance",
        "--phases", phases, "--max-examples", str(examples), "--seed", "2023", "--continue-on-failure",
        "--warnings", "off", "--request-timeout", "60", "--no-color",
    ]  # fmt: skip
    if only:
        arguments += ["--include-operation-id-regex", only]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(TESTS)}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) generated, \d+ passed", done.stdout)
    assert found is not None, done.stdout[-2000:]
    assert "a request failed" not in server.said()
    return int(found[1])


def test_some_thousand_generated_requests_find_nothing(
    played: Callable[[str], Any], start: Callable[..., Server], tmp_path: Path
) -> None:
    operations = "^(list_epochs|show_epoch|show_proof|list_transfers|submit|show_explanation|show_report)$"
    made = fuzzed(
        start(played("sqlite").root), tmp_path, examples=5, phases="examples,coverage,fuzzing", only=operations
    )
    assert made >= 300


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_ten_thousand_generated_requests_find_nothing(
    played: Callable[[str], Any], start: Callable[..., Server], tmp_path: Path, engine: str
) -> None:
    made = fuzzed(start(played(engine).root), tmp_path, examples=150, phases=PHASES)
    assert made >= 10_000
