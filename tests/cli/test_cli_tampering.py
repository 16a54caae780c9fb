"""Tamper evidence, one table: every protected table, every artefact, every kind of evidence, every way to change it."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Table, UniqueConstraint

from ledger.chain.local.anvil import start_detached, stop_detached
from ledger.cli.edge import run
from ledger.db.guards import protected_tables
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import EpochNumber, Hash32
from ledger.rehearsal import Rehearsal
from ledger.steps.auditing.chain import ChainWitness
from ledger.workspace import Workspace

MISMATCH = 4
REPOSITORY: Final = Path(__file__).parents[2]
ARTEFACTS: Final = (
    "claims-credited.parquet", "gpu-holders.parquet", "hours-refused.parquet", "roles.json", "statements.parquet",
    "tree.bin", "used-ranges.parquet", "verdicts.parquet", "zone-hours.parquet",
)  # fmt: skip
EVIDENCE: Final = ("batch", "registration")
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


class SumOf:
    """The exact sum of amounts as they are stored, which SQLite's own would turn into a float."""

    def __init__(self) -> None:
        self.total = 0

    def step(self, value: str | None) -> None:
        self.total += int(value or 0)

    def finalize(self) -> str:
        return f"{self.total:078d}"


def tamper(workspace: Path, script: str) -> int:
    """Run statements as somebody with the file could: guards and checks off, and back on afterwards."""
    with closing(sqlite3.connect(workspace / "ledger.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.create_aggregate("sum_of", 1, SumOf)  # type: ignore[arg-type]  # typeshed: step and finalize suffice
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


# every column and row of every protected table


def promises() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """By table: columns that are a note or said by the chain, and changes of rows that leave no trace offline."""
    found = {}
    for line in (REPOSITORY / "docs/reference/tamper-evidence.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or not cells[0].startswith("`"):
            continue
        table = cells[0].strip("`")
        columns = frozenset(re.findall(r"`(\w+)`", cells[2] + cells[3]))
        if cells[3].startswith("all columns but"):
            columns = frozenset(column.name for column in table_named(table).columns) - columns
        found[table] = (columns, frozenset(word for word in WAYS if word in cells[4]))
    return found


WAYS: Final = ("insert", "delete", "swap", "truncate")


def table_named(name: str) -> Table:
    return next(table for table in protected_tables() if table.name == name)


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if value is None:
        return b"\x01" * 32
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    if len(value) == 78 and value.isdecimal():
        return f"{int(value) + 1:078d}"
    return value[:-1] + ("x" if value[-1:] != "x" else "y")


def flip_column(database: sqlite3.Connection, table: Table, column: str) -> bool:
    rows = database.execute(f"SELECT rowid, {column} FROM {table.name} ORDER BY rowid").fetchall()
    number, value = rows[len(rows) // 2]
    try:
        database.execute(f"UPDATE {table.name} SET {column} = ? WHERE rowid = ?", (other(value), number))
    except sqlite3.IntegrityError:  # the next number is taken, which the database itself refuses: take one that is not
        database.execute(f"UPDATE {table.name} SET {column} = ? WHERE rowid = ?", (value + 10_000, number))
    return True


def change_rows(database: sqlite3.Connection, table: Table, how: str) -> bool:
    """One change of rows; whether there were enough of them."""
    numbers = [row[0] for row in database.execute(f"SELECT rowid FROM {table.name} ORDER BY rowid")]
    keys = [column.name for column in table.primary_key.columns]
    names = [column.name for column in table.columns]
    if how == "insert":
        row = dict(zip(names, database.execute(f"SELECT {', '.join(names)} FROM {table.name}").fetchone(), strict=True))
        for name in unique_columns(table):
            row[name] = row[name] + 10_000 if isinstance(row[name], int) else other(row[name])
        marks = ", ".join("?" for _ in names)
        database.execute(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", tuple(row.values()))
        return True
    if how == "swap":
        rest = [name for name in names if name not in keys]
        if len(numbers) < 2 or not rest:
            return False
        first, second = numbers[-2:]
        query = f"SELECT {', '.join(rest)} FROM {table.name} WHERE rowid = ?"
        values = {number: database.execute(query, (number,)).fetchone() for number in (first, second)}
        if values[first] == values[second]:
            return False
        put = f"UPDATE {table.name} SET {', '.join(f'{name} = ?' for name in rest)} WHERE rowid = ?"
        aside = [b"\x99" * 32 if isinstance(v, bytes) else -9 if isinstance(v, int) else "aside" for v in values[first]]
        for number, row_values in ((first, aside), (second, values[first]), (first, values[second])):
            database.execute(put, (*row_values, number))
        return True
    gone = [numbers[len(numbers) // 2]] if how == "delete" else numbers[len(numbers) // 2 :]
    database.execute(f"DELETE FROM {table.name} WHERE rowid IN ({', '.join(map(str, gone))})")
    return True


def unique_columns(table: Table) -> set[str]:
    """The last column of each key: another value there makes another row."""
    keys = [[column.name for column in table.primary_key.columns]]
    keys += [
        [column.name for column in each.columns] for each in table.constraints if isinstance(each, UniqueConstraint)
    ]
    return {key[-1] for key in keys}


class Attacked:
    """A copy of the eventful ledger; every attack starts from the whole one."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        self._file = root / "ledger.sqlite"
        self._whole = self._file.read_bytes()

    def by(self, change: Callable[[sqlite3.Connection], bool]) -> bool:
        """Do it as somebody with the file could: guards and constraints off, and back on afterwards."""
        for suffix in ("-wal", "-shm"):
            self._file.with_name(f"{self._file.name}{suffix}").unlink(missing_ok=True)
        self._file.write_bytes(self._whole)
        with closing(sqlite3.connect(self._file, isolation_level=None)) as database:
            database.execute("PRAGMA foreign_keys = OFF")
            database.execute("PRAGMA ignore_check_constraints = ON")
            guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in guards:
                database.execute(f'DROP TRIGGER "{name}"')
            was_done = change(database)
            for _, guard in guards:
                database.execute(guard)
        return was_done

    def verified(self, *words: str) -> tuple[int, str]:
        self._capsys.readouterr()
        code = run(["audit", "verify", *(words or ("--offline",)), "--workspace", str(self.root)])
        out, err = self._capsys.readouterr()
        return code, out + err


@pytest.fixture
def attacked(eventful_example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Attacked:
    return Attacked(Path(shutil.copytree(eventful_example, tmp_path / "eventful")), capsys)


TABLES: Final = [table.name for table in protected_tables()]
FOUND: Final = (MISMATCH, 5)
"""Also 5: books that belong to another network are not even opened."""


def test_every_protected_table_has_rows_and_its_line_in_the_reference(attacked: Attacked) -> None:
    assert sorted(promises()) == sorted(TABLES)
    with closing(sqlite3.connect(attacked.root / "ledger.sqlite")) as database:
        empty = [name for name in TABLES if not database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]]
    assert empty == []
    assert attacked.verified()[0] == 0


@pytest.mark.parametrize("name", TABLES)
def test_a_row_flipped_or_gone_is_found_and_named(attacked: Attacked, name: str) -> None:
    """A sample of the whole attack: the first column that is evidence, and a row deleted."""
    table, (notes, traceless) = table_named(name), promises()[name]
    column = next(each.name for each in reversed(table.columns) if each.name not in notes)
    assert attacked.by(lambda database: flip_column(database, table, column))
    assert attacked.verified()[0] in FOUND, f"{name}.{column}"
    if "delete" not in traceless:
        assert attacked.by(lambda database: change_rows(database, table, "delete"))
        assert attacked.verified()[0] in FOUND, name


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_column_and_every_change_of_rows_is_found(attacked: Attacked, name: str) -> None:
    table, (notes, traceless) = table_named(name), promises()[name]
    unseen = []
    for column in [each.name for each in table.columns if each.name not in notes]:
        attacked.by(lambda database, column=column: flip_column(database, table, column))  # type: ignore[misc]
        if attacked.verified()[0] not in FOUND:
            unseen.append(column)
    for how in [way for way in WAYS if way not in traceless]:
        was_done = attacked.by(lambda database, how=how: change_rows(database, table, how))  # type: ignore[misc]
        if was_done and attacked.verified()[0] not in FOUND:
            unseen.append(how)
    assert unseen == []


SAID_BY_THE_CHAIN: Final = (
    ("chain_logs", "tx_hash"), ("chain_logs", "topics"), ("chain_logs", "data"), ("chain_logs", "log_index"),
    ("policies", "block"),
)  # fmt: skip


def test_what_only_the_chain_can_say_again_is_held_against_it(attacked: Attacked) -> None:
    """Events that nobody books, and the block of an announcement; also an event left out, or added."""
    start_detached(attacked.root / "chain")
    try:
        for name, column in SAID_BY_THE_CHAIN:
            table = table_named(name)
            attacked.by(lambda database, table=table, column=column: flip_column(database, table, column))  # type: ignore[misc]
            code, told = attacked.verified("--epoch", "0")
            assert (code, name in told) == (MISMATCH, True), f"{name}.{column}: {told}"
        for how in ("delete", "truncate"):
            attacked.by(lambda database, how=how: change_rows(database, table_named("chain_logs"), how))  # type: ignore[misc]
            code, told = attacked.verified("--epoch", "0")
            assert (code, "chain.logs" in told) == (MISMATCH, True), how
        attacked.by(lambda _database: True)
        assert attacked.verified("--epoch", "0")[0] == 0
    finally:
        stop_detached(attacked.root / "chain")


@pytest.mark.parametrize("what", ["a backup restored", "the tail cut off"])
def test_books_that_end_before_a_living_chain_does_are_found(
    settled_example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """Whole in themselves, they verify; the chain knows of an epoch they do not have."""
    root = Path(shutil.copytree(settled_example, tmp_path / "ledger"))
    book = root / "ledger.sqlite"
    yesterday = book.read_bytes()
    start_detached(root / "chain")
    try:
        rehearsal = Rehearsal(Workspace.at(root), WorkedExample())
        ledger = rehearsal.workspace.open()
        rehearsal.attest(ledger, EpochNumber(1))
        list(rehearsal.settle(ledger, EpochNumber(1)))
        ledger.close()
        if what == "a backup restored":
            for place in root.glob("ledger.sqlite*"):
                place.unlink()
            book.write_bytes(yesterday)
        else:
            tamper(root, CUT_OFF)
        assert run(["audit", "verify", "--offline", "--workspace", str(root)]) == 0, capsys.readouterr()
        assert run(["audit", "verify", "--workspace", str(root)]) == MISMATCH
        out, err = capsys.readouterr()
        assert "chain.reach" in err
        assert "the books end at epoch 0" in out + err
    finally:
        stop_detached(root / "chain")


CUT_OFF: Final = "; ".join(
    (
        "DELETE FROM transfers WHERE entry_seq > 3",
        "DELETE FROM journal_entries WHERE seq > 3",
        "DELETE FROM epoch_events WHERE epoch > 0",
        "DELETE FROM epochs WHERE epoch > 0",
        "DELETE FROM artefacts WHERE epoch > 0",
        "DELETE FROM verdict_counts WHERE epoch > 0",
        "DELETE FROM chain_logs WHERE block_number > (SELECT max(block_number) FROM chain_logs WHERE seq <= 15)",
        "DELETE FROM chain_finality WHERE number > (SELECT max(block_number) FROM chain_logs) + 1",
        "DELETE FROM chain_blocks WHERE number > (SELECT max(number) FROM chain_finality) + 1",
        "DELETE FROM outbox_events WHERE intent_seq > 2",
        "DELETE FROM outbox_attempts WHERE intent_seq > 2",
        "DELETE FROM outbox_intents WHERE seq > 2",
        "DELETE FROM balances",
        (
            "INSERT INTO balances SELECT account, sum_of(d), sum_of(c) FROM (SELECT debit AS account, amount AS d,"
            " NULL AS c FROM transfers UNION ALL SELECT credit, NULL, amount FROM transfers) GROUP BY account"
        ),
    )
)
"""All that epoch 1 left, taken out by somebody who knows the tables."""


# what is named, for each way to change the tables that results follow from


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
