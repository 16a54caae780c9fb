"""A bundle does not show where its ledger kept the books: SQLite and PostgreSQL give the same bytes."""

import json
import shutil
from pathlib import Path
from typing import Final

import pytest
import servers
from sqlalchemy import text

from ledger.audit.bundle.reading import read_bundle
from ledger.audit.bundle.verification import verify_bundle
from ledger.chain.local.anvil import stop_detached
from ledger.cli.edge import run
from ledger.db.engine import open_database
from ledger.db.guards import install_guards, remove_guards
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal
from ledger.steps.auditing.export import export_bundle
from ledger.workspace import Workspace

EPOCHS = (EpochNumber(0), EpochNumber(1))


def settled(root: Path, database_url: str) -> list[bytes]:
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
    return settled(tmp_path_factory.mktemp("engines") / "sqlite", "")


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> tuple[Path, list[bytes]]:
    """The workspace with its books in PostgreSQL, evidence and artefacts too, and its bundles."""
    folder = tmp_path_factory.mktemp("engines")
    root = folder / "postgresql"
    return root, settled(root, servers.new_place("postgresql", folder, postgres_url))


def test_bundles_from_sqlite_and_from_postgresql_are_byte_identical(
    on_sqlite: list[bytes], postgresql: tuple[Path, list[bytes]]
) -> None:
    assert [len(each) for each in postgresql[1]] == [len(each) for each in on_sqlite]
    assert postgresql[1] == on_sqlite


def test_both_epochs_verify_as_one_walk(on_sqlite: list[bytes]) -> None:
    """So that the comparison is of something that is right, with everything a later epoch inherits in it."""
    left = None
    for content in on_sqlite:
        report = verify_bundle(read_bundle(memoryview(content)), left)
        assert report.passed, report.failed
        left = report.inheritance
    assert b"before/used-ranges.ndjson" in on_sqlite[1]


ATTACKS: Final = {
    "a byte of evidence": (
        ("UPDATE blobs SET content = set_byte(content, 60, get_byte(content, 60) # 1) WHERE digest ="
        " (SELECT digest FROM stored_items WHERE kind = 'batch' ORDER BY uid LIMIT 1)"),
        "evidence/batch",
    ),
    "evidence that is gone": (
        ("DELETE FROM stored_items WHERE kind = 'registration' AND uid ="
        " (SELECT uid FROM stored_items WHERE kind = 'registration' LIMIT 1)"),
        "evidence/registration",
    ),
    "evidence of another name": (
        ("UPDATE stored_items SET uid = decode(repeat('42', 32), 'hex') WHERE kind = 'batch' AND uid ="
        " (SELECT uid FROM stored_items WHERE kind = 'batch' LIMIT 1)"),
        "stored_items, batch",
    ),
    "a byte of an artefact": (
        ("UPDATE blobs SET content = set_byte(content, 60, get_byte(content, 60) # 1) WHERE digest ="
        " (SELECT content_digest FROM artefacts WHERE epoch = 1 AND kind = 'statements')"),
        "artefacts/00000001/1/statements.parquet",
    ),
    "a wei in the books": ("UPDATE transfers SET amount = amount + 1 WHERE entry_seq = 2 AND line_no = 1", "seq 2"),
    "an event of an epoch": ("DELETE FROM epoch_events WHERE epoch = 1 AND state = 'final'", "epoch 1"),
}  # fmt: skip
"""What somebody who owns the database could do to it, and what the audit names."""


@pytest.mark.parametrize("what", ATTACKS)
def test_tampering_in_postgresql_is_found_and_named(
    postgresql: tuple[Path, list[bytes]],
    postgres_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    what: str,
) -> None:
    statement, named = ATTACKS[what]
    root = copy_of(postgresql[0], tmp_path / "ledger", postgres_url)
    database = open_database(Workspace.at(root).database_url)
    with database.transaction() as session:
        connection = session.connection()
        remove_guards(connection)
        assert connection.execute(text(statement)).rowcount == 1
        install_guards(connection)
    database.close()
    code = run(["audit", "verify", "--offline", "--workspace", str(root)])
    out, err = capsys.readouterr()
    assert (code, named in out + err) == (4, True), out + err


def test_the_untouched_copy_in_postgresql_verifies(
    postgresql: tuple[Path, list[bytes]], postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_of(postgresql[0], tmp_path / "ledger", postgres_url)
    assert run(["audit", "verify", "--offline", "--workspace", str(root)]) == 0, capsys.readouterr()


def copy_of(workspace: Path, root: Path, postgres_url: str) -> Path:
    """A workspace and its database again; of the files only those that are no cache of the database."""
    url = Workspace.at(workspace).database_url
    again = servers.new_place("postgresql", root, postgres_url, template=url)
    shutil.copytree(workspace, root, ignore=shutil.ignore_patterns("artefacts", "chain", "cache"))
    for name in ("artefacts", "chain"):
        (root / name).mkdir()
    for place in root.glob("*.toml"):
        place.write_text(place.read_text().replace(url, again))
    assert Workspace.at(root).database_url == again
    return root
