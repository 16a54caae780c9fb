"""Surroundings that fail: chain, database, disk, another command. Each has its code; nothing is half-done."""

import ctypes
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ledger.chain.following.governed import NoPolicyError, PolicyHistory
from ledger.chain.local.anvil import AnvilProcess
from ledger.cli.edge import run
from ledger.demo.stream import labelled
from ledger.demo.verifier import BatchChain
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.items.typed_data import Domain, Schema
from ledger.evidence.storage.batch_files import write_batch
from ledger.model.units import Address, EpochNumber, Timestamp
from ledger.workspace import Workspace

NODE = (
    "--serial", "RACK-7/U12", "--model", "H100-SXM-80GB", "--zone", "NO", "--country", "NO", "--nameplate-w", "3000",
    "--gpu-uuid", "GPU-7c8f",
)  # fmt: skip

ANY_DOMAIN = Domain(chain_id=1, verifying_contract=Address(b"\x01" * 20))


def evidence(example: Any) -> Path:
    """A registration that would be admitted."""
    file = example.folder / "node.json"
    assert example.do("node", "register", *NODE, *example.key("operator-0"), "--out", file)[0] == 0
    return Path(file)


def everything(root: Path) -> list[str]:
    return sorted(str(path) for path in (root / "evidence").rglob("*"))


def code_of(err: str) -> str:
    return err.splitlines()[-1].split(":")[0]


def test_without_a_chain_nothing_is_taken_in(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file, before = evidence(example), everything(example.root)
    monkeypatch.setenv("ATH_LEDGER_RPC_URL", "http://127.0.0.1:9")
    code, _, err = example.do("batch", "submit", file)
    assert (code, code_of(err)) == (5, "chain.unreachable")
    assert everything(example.root) == before
    assert example.do("batch", "list")[0] == 0


@pytest.mark.parametrize(
    ("chain_id", "timestamp", "wanted"),
    [(5, None, "chain.wrong-chain"), (31337, Timestamp(1_600_000_000), "chain.other-genesis")],
)
def test_another_chain_under_the_same_books_is_refused(
    example: Any, monkeypatch: pytest.MonkeyPatch, chain_id: int, timestamp: Timestamp | None, wanted: str
) -> None:
    file, before = evidence(example), everything(example.root)
    with AnvilProcess.start(chain_id=chain_id, timestamp=timestamp) as node:
        monkeypatch.setenv("ATH_LEDGER_RPC_URL", node.rpc_url)
        code, _, err = example.do("batch", "submit", file)
        assert (code, code_of(err)) == (5, wanted)
        code, out, _ = example.do("doctor", "-o", "json")
        found = {row["check"]: row["code"] for row in json.loads(out)["data"] if row["health"] == "failed"}
        assert (code, found) == (5, {"contracts": wanted})
    assert everything(example.root) == before


def test_books_of_another_network_are_not_opened(example: Any) -> None:
    file = example.root / "deployment.json"
    document = json.loads(file.read_text())
    document["contracts"]["CarbonVault"]["address"] = "0x" + "11" * 20
    file.write_text(json.dumps(document))
    for command in (("batch", "list"), ("epoch", "step", "1")):
        code, _, err = example.do(*command)
        assert (code, code_of(err)) == (5, "workspace.other-network")
        assert "contracts of the database" in err


def test_a_database_of_a_newer_version_is_left_alone(example: Any) -> None:
    with sqlite3.connect(example.root / "ledger.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    for command in (("batch", "list"), ("db", "check"), ("db", "upgrade")):
        code, _, err = example.do(*command)
        assert (command, code, code_of(err)) == (command, 5, "db.schema-newer")


def test_two_commands_cannot_write_at_once_but_reading_goes_on(example: Any) -> None:
    file = evidence(example)
    with Workspace.at(example.root).reshaping():
        code, _, err = example.do("batch", "submit", file)
        assert (code, code_of(err)) == (5, "workspace.busy")
        assert str(os.getpid()) in err
        assert example.do("node", "list")[0] == 0
    assert example.data("batch", "submit", file)[0]["result"] == "admitted"


def limited(example: Any, file: Path, most_bytes: int) -> subprocess.CompletedProcess[str]:
    """`batch submit` where no file may grow beyond a size: what a full disk is to the program."""
    return command_under(
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)), example, "batch", "submit", file
    )


def obey_permissions() -> None:
    """Take from root what lets it write to read-only files (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    drop_from_bounding_set = 24
    libc = ctypes.CDLL(None)
    for capability in (1, 2):
        libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)


def command_under(condition: Callable[[], None], example: Any, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, with its surroundings prepared."""
    return subprocess.run(
        [sys.executable, "-c", "from ledger.cli.edge import main; main()", *map(str, arguments)],
        env={**os.environ, "ATH_LEDGER_WORKSPACE": str(example.root)},
        preexec_fn=condition,
        capture_output=True,
        text=True,
        check=False,
    )


def large_batch(example: Any) -> Path:
    """Claims whose ids do not compress: some 100 kB of batch."""
    network, epoch = WorkedExample(), EpochNumber(1)
    registry = next(each for each in network.verifiers if each.schema is Schema.RENEWABLE)
    (sample,) = (
        batch for batch in network.batches(EpochNumber(0), ANY_DOMAIN) if batch.header.schema is Schema.RENEWABLE
    )
    one = sample.records().head(1)
    claims = pl.concat(
        one.with_columns(
            issuance_id=pl.lit(labelled(b"disk", "issuance", number)),
            device_id=pl.lit(labelled(b"disk", "device", number)),
            cancellation_ref=pl.lit(labelled(b"disk", "reference", number)),
        )
        for number in range(1000)
    )
    ledger = Workspace.at(example.root).open(read_only=True)
    file = example.folder / "claims.parquet"
    batch = BatchChain(registry, ledger.domain, ledger.calendar, epoch).add(claims)
    file.write_bytes(write_batch(batch, ledger.domain))
    ledger.close()
    return Path(file)


def test_a_full_disk_loses_nothing_and_the_same_command_works_when_there_is_room(example: Any) -> None:
    file, before = large_batch(example), everything(example.root)
    assert file.stat().st_size > 80_000
    # SQLite's shared memory needs 32 KiB: with less the database does not open, with more the evidence fails first
    for room, wanted in ((300, "db.unavailable"), (60_000, "evidence.store-failure")):
        full = limited(example, file, room)
        assert (room, full.returncode, code_of(full.stderr)) == (room, 5, wanted)
        assert [path for path in everything(example.root) if Path(path).is_file()] == [
            path for path in before if Path(path).is_file()
        ]
    assert len(example.data("batch", "list")) == 8
    assert example.data("batch", "submit", file)[0]["result"] == "admitted"
    assert len(example.data("batch", "list")) == 9
    assert example.do("doctor", "--full")[0] == 0


def test_a_read_only_database_is_named_and_can_still_be_read(example: Any) -> None:
    file = evidence(example)
    (example.root / "ledger.sqlite").chmod(0o444)
    refused = command_under(obey_permissions, example, "batch", "submit", file)
    assert (refused.returncode, code_of(refused.stderr)) == (5, "db.read-only")
    assert command_under(obey_permissions, example, "batch", "list").returncode == 0
    examined = command_under(obey_permissions, example, "doctor", "-o", "json")
    assert (examined.returncode, "db.read-only" in examined.stdout) == (5, True)
    for each in example.root.glob("ledger.sqlite*"):
        each.chmod(0o644)
    assert example.data("batch", "submit", file)[0]["result"] == "admitted"


def test_a_copy_is_a_whole_database_and_replaces_no_file(example: Any) -> None:
    copy = example.folder / "copy.sqlite"
    assert example.do("db", "copy", copy)[0] == 0
    head = example.data("db", "check")["seal_head"]
    shutil.copyfile(copy, example.root / "ledger.sqlite")
    assert example.data("db", "check")["seal_head"] == head
    before = copy.read_bytes()
    assert example.do("db", "copy", copy)[0] == 2
    assert copy.read_bytes() == before


def test_an_upgrade_of_what_is_there_changes_nothing_and_of_what_is_not_makes_it(example: Any) -> None:
    found = example.data("db", "upgrade")
    assert found["before"] == found["revision"]
    (example.root / "ledger.sqlite").unlink()
    code, _, err = example.do("batch", "list")
    assert (code, code_of(err), "ath-ledger db upgrade" in err) == (5, "db.missing", True)
    assert example.data("db", "upgrade")["before"] is None
    assert example.data("batch", "list") == []


def test_a_demo_does_not_play_in_a_workspace_of_another_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ETH_RPC_URL", raising=False)
    assert run(["init", str(tmp_path / "ledger")]) == 0
    capsys.readouterr()
    assert run(["demo", "-w", str(tmp_path / "ledger"), "--nodes", "10", "--days", "1"]) == 2
    said = capsys.readouterr().err
    assert "is a workspace of another kind" in said
    assert "ath-ledger demo -w DIR" in said


def test_a_chain_without_an_address_is_no_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "ledger"), "--rpc", ""]) == 2
    assert "--rpc is empty" in capsys.readouterr().err
    assert not (tmp_path / "ledger").exists()


def test_an_epoch_no_policy_governs_is_named() -> None:
    with pytest.raises(NoPolicyError, match="no policy governs epoch 3") as refusal:
        PolicyHistory(announced=()).policy_for_epoch(EpochNumber(3))
    assert refusal.value.code == "policy.none"
