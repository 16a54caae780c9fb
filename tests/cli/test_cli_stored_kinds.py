"""SQLite keeps a value of any kind in any column: whoever checks the books names the row, and does not stumble."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from ledger.cli.edge import run

MISMATCH = 4
CHECKS = (["db", "check"], ["audit", "journal", "--verify"], ["audit", "verify", "--offline"])


def changed_by_hand(source: Path, place: Path, change: str) -> Path:
    """A copy of the ledger with one statement run on it, its guards taken away and put back."""
    shutil.copytree(source, place, ignore=shutil.ignore_patterns("chain"))
    database = sqlite3.connect(place / "ledger.sqlite")
    guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in guards:
        database.execute(f'DROP TRIGGER "{name}"')
    assert database.execute(change).rowcount == 1
    for _, made in guards:
        database.execute(made)
    database.commit()
    database.close()
    return place


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            "UPDATE journal_entries SET canonical = replace(canonical, '1', '2') WHERE seq = 2",
            "journal_entries seq 2: canonical is text where blob belongs",
        ),
        (
            "UPDATE transfers SET amount = amount + 1.5 WHERE entry_seq = 2 AND line_no = 1",
            "transfers entry_seq 2, line_no 1: amount is text that is no whole number of 78 digits",
        ),
        (
            "UPDATE journal_entries SET key = CAST(x'fffe' AS TEXT) WHERE seq = 2",
            "journal_entries seq 2: key is text that is no UTF-8",
        ),
        (
            "UPDATE epoch_events SET number = 'zz' WHERE epoch = 0 AND number = 1",
            "epoch_events epoch 0, number 'zz': number is text where integer belongs",
        ),
        (
            "UPDATE epoch_events SET epoch = CAST(x'fffe' AS TEXT) WHERE epoch = 0 AND number = 1",
            "epoch_events epoch X'FFFE', number 1: epoch is text where integer belongs",
        ),
        (
            "UPDATE epochs SET state = 'paid' WHERE epoch = 0",
            "epochs epoch 0: state is text that is no state of an epoch",
        ),
        (
            "UPDATE artefacts SET content_digest = 7 WHERE epoch = 0 AND kind = 'statements'",
            "artefacts epoch 0, attempt 1, kind 'statements': content_digest is integer where blob belongs",
        ),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_row(
    settled_example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, named: str
) -> None:
    place = changed_by_hand(settled_example, tmp_path / "ledger", change)
    for words in CHECKS:
        capsys.readouterr()
        assert run([*words, "-w", str(place)]) == MISMATCH
        told = capsys.readouterr().err.splitlines()[-1]
        assert told.startswith("db.stored-kind: " + named), told
