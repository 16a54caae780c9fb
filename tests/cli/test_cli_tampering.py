"""Tamper evidence, one table: every protected table, every artefact, every kind of evidence, every way to change it."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.cli.edge import run
from ledger.db.guards import protected_tables
from ledger.model.units import EpochNumber, Hash32
from ledger.steps.auditing.chain import ChainWitness

MISMATCH = 4
ARTEFACTS: Final = (
    "claims-credited.parquet", "gpu-holders.parquet", "hours-refused.parquet", "roles.json", "statements.parquet",
    "tree.bin", "used-ranges.parquet", "verdicts.parquet", "zone-hours.parquet",
)  # fmt: skip
EVIDENCE: Final = ("batch", "registration")
WITHOUT_EFFECT: Final = frozenset(
    {
        "chain_blocks", "chain_finality", "chain_logs", "chain_reorgs", "outbox_attempts", "outbox_events",
        "outbox_intents", "outbox_senders", "refusals", "workspace",
    }
)  # fmt: skip
"""What a machine notes about its surroundings: no result follows from it, the chain itself or the deployment says it
again, and reconciliation holds the books against the chain."""
ELSEWHERE: Final = frozenset({"corrections"})
"""Empty unless a root was superseded."""
CHANGES: Final = (
    # table, how, the statement, what names it
    ("journal_entries", "flip", "UPDATE journal_entries SET hash = zeroblob(32) WHERE seq = 2", "seq 2"),
    ("journal_entries", "delete", "DELETE FROM journal_entries WHERE seq = 2", "epoch/0/seal/1"),
    ("journal_entries", "truncate", "DELETE FROM journal_entries WHERE seq >= 3", "seq 3"),
    ("journal_entries", "insert", ("INSERT INTO journal_entries SELECT 999, chain, 999, 'forged', kind, effective_at,"
     " canonical, body_hash, previous_hash, zeroblob(32), 0, 0 FROM journal_entries WHERE seq = 1"), "seq"),
    ("journal_entries", "swap", ("UPDATE journal_entries SET seq = CASE seq WHEN 1 THEN -2 WHEN 2 THEN -1 END"
     " WHERE seq IN (1, 2); UPDATE journal_entries SET seq = -seq WHERE seq < 0"), "seq 1"),
    ("transfers", "flip", ("UPDATE transfers SET amount = substr(amount, 1, 77) || '9'"
     " WHERE entry_seq = 2 AND line_no = 1"), "seq 2"),
    ("transfers", "delete", "DELETE FROM transfers WHERE entry_seq = 2 AND line_no = 3", "seq 2"),
    ("transfers", "truncate", "DELETE FROM transfers WHERE entry_seq >= 2", "seq 2"),
    ("transfers", "insert", ("INSERT INTO transfers SELECT 2, 99, debit, credit, asset, amount, code FROM transfers"
     " WHERE entry_seq = 2 AND line_no = 0"), "seq 2"),
    ("transfers", "swap", ("UPDATE transfers SET line_no = CASE line_no WHEN 0 THEN -1 WHEN 1 THEN -2 END"
     " WHERE entry_seq = 2 AND line_no < 2; UPDATE transfers SET line_no = line_no + 2 WHERE line_no < 0"), "seq 2"),
    ("items", "flip", "UPDATE items SET uid = zeroblob(32) WHERE arrival = 5", "items of epoch 0"),
    ("items", "delete", "DELETE FROM items WHERE arrival = 5", "items of epoch 0"),
    ("items", "truncate", "DELETE FROM items WHERE arrival > 5", "items of epoch 0"),
    ("items", "insert", ("INSERT INTO items (arrival, uid, kind, schema, signer, epoch, sequence, received_at,"
     " file_digest) SELECT 0, zeroblob(32), kind, schema, signer, epoch, 99, received_at, file_digest FROM items"
     " WHERE arrival = 5"), "items of epoch 0"),
    ("items", "swap", ("UPDATE items SET file_digest = (SELECT o.file_digest FROM items o WHERE o.arrival ="
     " 11 - items.arrival) WHERE arrival IN (5, 6)"), "evidence"),
    ("artefacts", "flip", "UPDATE artefacts SET content_digest = zeroblob(32) WHERE kind = 'tree'", "tree"),
    ("artefacts", "delete", "DELETE FROM artefacts WHERE kind = 'statements'", "statements"),
    ("artefacts", "swap", ("UPDATE artefacts SET path = (SELECT path FROM artefacts WHERE kind = 'verdicts')"
     " WHERE kind = 'zone-hours'"), "verdicts"),
    ("epoch_events", "flip", ("UPDATE epoch_events SET facts = replace(facts, '\"epoch\":0', '\"epoch\":1')"
     " WHERE state = 'sealed'"), "epoch 0"),
    ("epoch_events", "delete", "DELETE FROM epoch_events WHERE state = 'computed'", "epoch 0"),
    ("epoch_events", "truncate", "DELETE FROM epoch_events WHERE number > 1", "epoch 0"),
    ("policies", "flip", "UPDATE policies SET parameters = replace(parameters, '900000', '900001')", "policy"),
    ("policies", "delete", "DELETE FROM policies", "policy"),
    ("tables_documents", "flip", (
            "UPDATE tables_documents SET document ="
            " CAST(replace(CAST(document AS TEXT), '700', '701') AS BLOB)"
        ), "tables"),
    ("tables_documents", "delete", "DELETE FROM tables_documents", "tables"),
    ("verdict_counts", "flip", "UPDATE verdict_counts SET count = count + 1", "verdicts"),
    ("verdict_counts", "delete", "DELETE FROM verdict_counts", "verdicts"),
)  # fmt: skip


def _flip(content: bytes, _other: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


FILE_CHANGES: Final[dict[str, Callable[[bytes, bytes], bytes | None]]] = {
    "flip": _flip,
    "delete": lambda _content, _other: None,
    "insert": lambda content, _other: content[:9] + b"\0" + content[9:],
    "swap": lambda _content, other: other,
    "truncate": lambda content, _other: content[:-1],
    "empty": lambda _content, _other: b"",
}


@pytest.fixture
def workspace(settled_example: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(settled_example, tmp_path / "ledger"))


def verify(workspace: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["audit", "verify", "--offline", "--workspace", str(workspace)])
    out, err = capsys.readouterr()
    return code, out + err


def tamper(workspace: Path, script: str) -> int:
    """Run statements as somebody with the file could: guards and checks off, and back on afterwards."""
    with closing(sqlite3.connect(workspace / "ledger.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            database.execute(f'DROP TRIGGER "{name}"')
        before = database.total_changes
        for statement in script.split("; "):
            database.execute(statement)
        changed = database.total_changes - before
        for _, guard in guards:
            database.execute(guard)
    return changed


def test_every_protected_table_has_its_place_in_this_table() -> None:
    covered = {table for table, *_ in CHANGES}
    assert {table.name for table in protected_tables()} == covered | WITHOUT_EFFECT | ELSEWHERE


@pytest.mark.parametrize(("table", "how", "script", "named"), CHANGES, ids=[f"{c[0]}-{c[1]}" for c in CHANGES])
def test_a_changed_table_is_found_and_the_place_named(
    workspace: Path, capsys: pytest.CaptureFixture[str], table: str, how: str, script: str, named: str
) -> None:
    assert tamper(workspace, script) > 0, (table, how)
    code, told = verify(workspace, capsys)
    assert code == MISMATCH, told
    assert named in told


def files_of(workspace: Path, kind: str) -> list[Path]:
    if kind in EVIDENCE:
        return sorted((workspace / "evidence" / kind).glob("*/*"))
    return [workspace / "artefacts" / "00000000" / "1" / kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*ARTEFACTS, *EVIDENCE])
def test_a_changed_file_is_found_and_named_however_it_was_changed(
    workspace: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    place, *others = files_of(workspace, kind)
    other = others[0] if others else files_of(workspace, "roles.json" if kind != "roles.json" else "tree.bin")[0]
    content = place.read_bytes()
    for how, change in FILE_CHANGES.items():
        changed = change(content, other.read_bytes())
        if changed is None:
            place.unlink()
        else:
            place.write_bytes(changed)
        code, told = verify(workspace, capsys)
        assert code == MISMATCH, how
        name = place.name[:66] if kind in EVIDENCE else f"artefacts/00000000/1/{kind}"
        assert name.split(".")[0] in told, how
        place.write_bytes(content)
    assert verify(workspace, capsys)[0] == 0


@pytest.mark.parametrize(("on_chain", "found"), [((), False), ((0, 1), False), ((0, 1, 2), True)])
def test_books_that_end_before_the_chain_does_are_found(on_chain: tuple[int, ...], found: bool) -> None:
    """A truncated tail or a restored backup is a whole ledger by itself; only the chain knows of what is gone."""
    nothing: Any = None
    witness = ChainWitness(
        corrections={}, terms={},
        connection=nothing, deployment=nothing, block=7, last_emitted=Hash32(bytes(32)), last_held=Hash32(bytes(32)),
        headers={EpochNumber(epoch): Hash32(bytes(32)) for epoch in on_chain},
    )  # fmt: skip
    check = witness.reaches(EpochNumber(1))
    assert check.passed is not found
    assert not found or "books end at epoch 1" in str(check)
