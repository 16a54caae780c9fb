"""One list of metrics: what a process counts comes out under it, and the reference shows it as it is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.chain.errors import ChainUnreachableError
from ledger.telemetry.metrics import COUNTED, GATHERED, WATCHED, exposition, family, observe_request, timed_step
from ledger.telemetry.serving import SHARED_FOLDER

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def values(text: str) -> dict[str, float]:
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def test_steps_are_timed_by_name_and_outcome_and_failures_by_code() -> None:
    before = values(exposition([]).decode())
    with timed_step("compute") as timing:
        timing.outcome = "moved"
    with pytest.raises(ChainUnreachableError), timed_step("propose"):
        raise ChainUnreachableError("no answer")
    after = values(exposition([]).decode())
    grown = {name for name in after if after[name] != before.get(name, 0.0)}
    assert 'ath_ledger_step_seconds_count{outcome="moved",step="compute"}' in grown
    assert 'ath_ledger_step_seconds_count{outcome="failed",step="propose"}' in grown
    assert 'ath_ledger_step_failures_total{code="chain.unreachable",step="propose"}' in grown


def test_requests_are_counted_by_route_and_not_by_what_was_asked() -> None:
    observe_request("/v1/operators/{operator}", "GET", 200, 0.004)
    text = exposition([]).decode()
    labels = 'method="GET",route="/v1/operators/{operator}",status="200"'
    assert f"ath_ledger_http_request_seconds_count{{{labels}}}" in text


def test_a_family_has_its_samples_by_label() -> None:
    text = exposition([family(GATHERED["epochs"], [(("final",), 3), (("halted",), 0)])], with_own=False).decode()
    assert values(text) == {'ath_ledger_epochs{state="final"}': 3, 'ath_ledger_epochs{state="halted"}': 0}
    assert "# TYPE ath_ledger_epochs gauge" in text


def test_the_processes_of_one_service_count_together(tmp_path: Path) -> None:
    observe = "from ledger.telemetry.metrics import observe_request; observe_request('/v1/epochs', 'GET', 200, 0.01)"
    show = "from ledger.telemetry.metrics import exposition; print(exposition([]).decode())"
    environment = {**os.environ, SHARED_FOLDER: str(tmp_path)}
    for code in (observe, observe):
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    done = subprocess.run([sys.executable, "-c", show], env=environment, check=True, capture_output=True, text=True)
    count = 'ath_ledger_http_request_seconds_count{method="GET",route="/v1/epochs",status="200"}'
    assert values(done.stdout)[count] == 2


def test_the_reference_shows_every_metric_as_it_is_and_no_other() -> None:
    rows = re.findall(r"^\| `(ath_ledger_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    wanted = [
        (each.full_name, each.kind, ", ".join(f"`{label}`" for label in each.labels) or "–", each.meaning)
        for each in (*GATHERED.values(), *COUNTED.values(), *WATCHED.values())
    ]
    assert rows == wanted


def test_no_label_is_made_for_an_address_or_an_amount() -> None:
    for each in (*GATHERED.values(), *COUNTED.values(), *WATCHED.values()):
        assert not set(each.labels) & {"address", "operator", "account", "node", "verifier", "sender", "url", "key"}
        assert "wei" not in each.name
