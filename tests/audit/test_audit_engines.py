"""A bundle does not show where its ledger kept the books: SQLite and PostgreSQL give the same bytes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.audit.bundle.reading import read_bundle
from ledger.audit.bundle.verification import verify_bundle
from ledger.chain.anvil import stop_detached
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal
from ledger.steps.auditing.export import export_bundle
from ledger.workspace import Workspace

EPOCHS = (EpochNumber(0), EpochNumber(1))


def bundles(root: Path, database_url: str) -> list[bytes]:
    """The example's first two epochs, settled on a chain of their own with the books on that engine."""
    settings = {
        "clock": "chain",
        "publisher_keystore": "keys/publisher.json",
        "publisher_password_file": "keys/password",
    }
    if database_url:
        settings["database_url"] = database_url
    workspace = Workspace.create(root, dict(settings))
    rehearsal = Rehearsal(workspace, WorkedExample())
    ledger = rehearsal.deploy(lambda _: None)
    assert workspace.database_url.startswith(database_url or "sqlite")
    try:
        rehearsal.register(ledger)
        for epoch in EPOCHS:
            rehearsal.attest(ledger, epoch)
            list(rehearsal.settle(ledger, epoch))
        rehearsal.finish(ledger)
        deployment = json.loads(workspace.deployment_file.read_text())
        made = []
        for epoch in EPOCHS:
            place = root.parent / f"{root.name}-{epoch}.zip"
            assert export_bundle(ledger, epoch, deployment, place).is_new
            made.append(place.read_bytes())
    finally:
        ledger.close()
        stop_detached(workspace.chain_folder)
    return made


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return bundles(tmp_path_factory.mktemp("engines") / "sqlite", "")


def test_bundles_from_sqlite_and_from_postgresql_are_byte_identical(
    on_sqlite: list[bytes], new_url: Callable[[str], str], tmp_path: Path
) -> None:
    on_postgresql = bundles(tmp_path / "postgresql", new_url("postgresql"))
    assert [len(each) for each in on_postgresql] == [len(each) for each in on_sqlite]
    assert on_postgresql == on_sqlite


def test_both_epochs_verify_as_one_walk(on_sqlite: list[bytes]) -> None:
    """So that the comparison is of something that is right, with everything a later epoch inherits in it."""
    left = None
    for content in on_sqlite:
        report = verify_bundle(read_bundle(memoryview(content)), left)
        assert report.passed, report.failed
        left = report.inheritance
    assert b"before/used-ranges.ndjson" in on_sqlite[1]
