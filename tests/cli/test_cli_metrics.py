"""What a scrape of a real ledger shows, and that the example alerts ask for nothing else."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ledger.db import epochs, figures, submissions
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Timestamp
from ledger.steps.checkup.figures import Figures, render
from ledger.steps.drive import step
from ledger.steps.ledger import Ledger
from ledger.telemetry.metrics import observe_request, reconciled, timed_step
from ledger.workspace import Workspace

DOCS = Path(__file__).parents[2] / "docs"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found["ath_ledger_" + name, tuple(sorted(labels.items()))]


@pytest.fixture
def ledger(example: Any) -> Iterator[Ledger]:
    opened = Workspace.at(example.root).open()
    yield opened
    opened.close()


def scrape(ledger: Ledger) -> Samples:
    return samples(render(Figures(ledger=ledger)).decode())


def test_a_scrape_shows_where_the_ledger_stands(ledger: Ledger) -> None:
    found = scrape(ledger)
    assert value(found, "database_up") == 1
    assert value(found, "epochs", state="final") == 1
    assert value(found, "epochs_halted") == 0
    assert value(found, "outbox_entries", state="conflicted") == 0
    assert value(found, "outbox_entries", state="final") == 2
    assert value(found, "suspense_open") == 0
    assert (value(found, "last_sealed_epoch"), value(found, "last_final_epoch")) == (0, 0)
    assert value(found, "queue_age_seconds", queue="outbox") == 0
    assert value(found, "journal_entries_total") > 1
    with ledger.database.reading() as session:
        verdicts = epochs.verdict_counts(session, EpochNumber(0), 1)
    for (scope, code), count in verdicts.items():
        assert value(found, "epoch_verdicts", scope=scope, code=code or "accepted") == count
    batches = sum(each for (name, labels), each in found.items() if name.endswith("items_total") and labels)
    assert batches > 10


def test_what_happens_between_two_scrapes_is_seen_by_the_second(ledger: Ledger) -> None:
    looking = Figures(ledger=ledger, fresh_seconds=0)
    before = samples(render(looking).decode())
    at = ledger.clock.now()
    with ledger.database.transaction() as session:
        submissions.receive(session, b"anything", received_at=Timestamp(at - 100))
        epochs.open_epoch(session, EpochNumber(1), recorded_at=at)
        standing = epochs.lock_epoch(session, EpochNumber(1))
        facts = {"from": "open"}
        epochs.record_transition(session, standing, EpochState.HALTED, facts=facts, reason="x", recorded_at=at)
    after = samples(render(looking).decode())
    assert value(after, "submissions_waiting") == value(before, "submissions_waiting") + 1
    assert value(after, "queue_age_seconds", queue="submissions") >= 100 - 24
    assert (value(before, "epochs_halted"), value(after, "epochs_halted")) == (0, 1)
    assert value(after, "items_total", kind="registration", schema="") == value(
        before, "items_total", kind="registration", schema=""
    )


def test_a_submission_that_waits_longest_is_not_forgotten_by_later_looks(ledger: Ledger) -> None:
    looking = Figures(ledger=ledger, fresh_seconds=0)
    with ledger.database.transaction() as session:
        submissions.receive(session, b"old", received_at=Timestamp(1_000_000))
        submissions.receive(session, b"new", received_at=Timestamp(2_000_000))
    for _ in range(3):
        assert value(samples(render(looking).decode()), "submissions_waiting") == 2
    with ledger.database.transaction() as session:
        waiting = submissions.waiting(session)
        for each in waiting:
            submissions.record_verdict(
                session, each, is_admitted=False, uid=None, kind="", epoch=None, code="file.not-an-item", detail="",
                judged_at=Timestamp(2_000_001),
            )  # fmt: skip
    for _ in range(2):
        assert value(samples(render(looking).decode()), "submissions_waiting") == 0


def test_a_database_that_hangs_costs_the_scrape_its_patience_and_one_thread(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    real = figures.epochs_by_state

    def hanging(session: Any) -> Any:
        release.wait(30)
        return real(session)

    monkeypatch.setattr(figures, "epochs_by_state", hanging)
    looking = Figures(ledger=ledger, fresh_seconds=0, patience_seconds=0.05)
    for _ in range(3):
        found = samples(render(looking).decode())
        assert value(found, "database_up") == 0
        assert ("ath_ledger_epochs_halted", ()) not in found
    assert sum(thread.name == "ledger-question" for thread in threading.enumerate()) == 1
    release.set()
    looking.patience_seconds = 30
    assert value(samples(render(looking).decode()), "database_up") == 1


def test_a_database_that_is_gone_is_down_and_the_process_still_answers(ledger: Ledger, example: Any) -> None:
    (example.root / "ledger.sqlite").rename(example.root / "elsewhere")
    ledger.database.close()
    found = scrape(ledger)
    assert value(found, "database_up") == 0
    assert any(name == "process_cpu_seconds_total" for name, _ in found)


_KEYWORDS = {"by", "without", "on", "ignoring", "and", "or", "unless", "bool", "offset", "group_left", "group_right"}
_FUNCTIONS = {"absent", "clamp_min", "delta", "histogram_quantile", "increase", "max", "min", "rate", "sum", "time"}


def asked_for(expression: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """The metrics an expression asks for, each with its label matchers."""
    found = []
    rest = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", expression)
    for match in re.finditer(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\[\w+\])?(\s*\()?", rest):
        name, matchers, _, call = match.groups()
        if call:
            assert name in _FUNCTIONS, name
        elif name not in _KEYWORDS and not re.match(r"\d*[smhd]$", name):
            found.append((name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers or "")))
    return found


def test_the_parser_of_expressions_finds_metrics_and_matchers_and_nothing_else() -> None:
    assert asked_for('sum by (le, x) (rate(a_b{c=~"5..",d!="e"}[5m])) > 0.01 * max(f) unless absent(g{})') == [
        ("a_b", [("c", "=~", "5.."), ("d", "!=", "e")]),
        ("f", []),
        ("g", []),
    ]


def test_every_alert_asks_for_what_a_scrape_has(ledger: Ledger, example: Any, tmp_path: Path) -> None:
    step(ledger, EpochNumber(1))
    observe_request("/v1/epochs", "GET", 500, 0.01)
    reconciled(0, ledger.clock.now())
    with pytest.raises(OSError, match="no answer"), timed_step("propose"):
        raise OSError("no answer")
    (tmp_path / "garbage").write_bytes(b"neither Parquet nor JSON")
    assert example.do("batch", "submit", tmp_path / "garbage")[0] == 7
    watched = tmp_path / "watch.prom"
    example.do("audit", "watch", "--once", "--metrics-file", watched)
    found = scrape(ledger) | samples(watched.read_text())
    labels_of: dict[str, list[dict[str, str]]] = {}
    for name, labels in found:
        labels_of.setdefault(name, []).append(dict(labels))
    rules = [
        rule
        for group in yaml.safe_load((DOCS / "reference" / "alerts.yaml").read_text())["groups"]
        for rule in group["rules"]
    ]
    assert len(rules) > 20
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        asked = asked_for(rule["expr"])
        assert asked, rule["alert"]
        for name, matchers in asked:
            assert name in labels_of, f"{rule['alert']}: {name} is in no scrape"
            for label, sign, wanted in matchers:
                values = {each.get(label) for each in labels_of[name]}
                if sign == "=":
                    assert wanted in values, f"{rule['alert']}: no {name} has {label}={wanted}"
                else:
                    assert values != {None}, f"{rule['alert']}: {name} has no label {label}"
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"page", "ticket"}
