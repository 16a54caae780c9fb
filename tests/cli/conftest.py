"""What the command line's tests stand on: a workspace with a chain, accounts and files of its own per test."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.cli.edge import run

START = 1_700_000_000
GENESIS = 1_700_006_400


class Desk:
    """A workspace of its own and the command line to it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.folder = root.parent
        self._capsys = capsys

    def do(self, *arguments: str | Path) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        return code, out, err

    def data(self, *arguments: str | Path) -> list[dict[str, str]]:
        code, out, err = self.do(*arguments, "-o", "json")
        assert code == 0, err
        rows: list[dict[str, str]] = json.loads(out)["data"]
        return rows

    def key(self, name: str) -> list[str]:
        keys = self.root / "keys"
        return ["--keystore", str(keys / f"{name}.json"), "--password-file", str(keys / f"{name}.password")]

    def files(self) -> tuple[Path, Path]:
        """Tables and configuration of a small network."""
        tables, config = self.folder / "tables.json", self.folder / "config.json"
        tables.write_text(self.do("chain", "tables", "--model", "H100-SXM-80GB", "--zone", "NO")[1])
        code, out, err = self.do(
            "chain", "config", "--tables", tables, "--genesis", str(GENESIS),
            "--epoch-length", "14400", "--window", "3600",
            "--finality-depth", "2", "--governance-delay", "7200", "--treasury", "deployer", "--reserve", "reserve",
            "--publisher", "publisher", "--guardian", "governor", "--governor", "governor",
            "--verifier", "uptime=publisher", "--verifier", f"renewable=governor,0x{'01' * 32}", "--set", "quorum_k=3",
            "--set", "quorumQ=2",
        )  # fmt: skip
        assert code == 0, err
        config.write_text(out)
        return tables, config


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("ETH_KEYSTORE", "ETH_PASSWORD", "ETH_FROM", "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATH_LEDGER_WORKSPACE", str(tmp_path / "ledger"))
    made = Desk(tmp_path / "ledger", capsys)
    assert made.do("init")[0] == 0
    assert made.do("chain", "start", "--timestamp", str(START))[0] == 0
    made.do("chain", "account", "deployer", "publisher", "governor", "reserve")
    yield made
    made.do("chain", "stop")


@pytest.fixture(scope="session")
def settled_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the worked example's epoch 0 FINAL and its chain stopped. Only to be read or copied."""
    from ledger.chain.local.anvil import stop_detached
    from ledger.demo.worked_example import WorkedExample
    from ledger.model.units import EpochNumber
    from ledger.rehearsal import Rehearsal

    root, epoch = tmp_path_factory.mktemp("settled") / "ledger", EpochNumber(0)
    rehearsal = Rehearsal.create(root, WorkedExample())
    ledger = rehearsal.deploy(lambda _step: None)
    rehearsal.register(ledger)
    rehearsal.attest(ledger, epoch)
    for _ in rehearsal.settle(ledger, epoch):
        pass
    ledger.close()
    stop_detached(root / "chain")
    return root


@pytest.fixture(scope="session")
def eventful_example(
    settled_example: Path, supersede: Callable[[Path, Any], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The settled example after much has happened to it, so that every protected table has rows. Only to be copied.

    A claim, a retirement, a corrected root, refusals, submissions, evidence in the database, a branch that was left.
    """
    import shutil

    from ledger.chain.local.anvil import start_detached, stop_detached
    from ledger.db.evidence import DatabaseStore
    from ledger.demo.worked_example import WorkedExample
    from ledger.evidence.storage.store import ItemKind
    from ledger.rehearsal import Rehearsal
    from ledger.steps.intake.inbox import judge_submission, receive
    from ledger.workspace import Workspace

    root = tmp_path_factory.mktemp("eventful") / "ledger"
    shutil.copytree(settled_example, root)
    start_detached(root / "chain")

    do, act = _commands(root)
    rehearsal = Rehearsal(Workspace.at(root), WorkedExample())
    ledger = rehearsal.workspace.open()
    rehearsal.claim(ledger, 0)
    do("chain", "account", "retirer")
    act("retirer", "carbon", "retire", "--grams", "1", "--payment", "1", "--supplier", f"0x{'42' * 20}",
        "--certificate-hash", f"0x{'c5' * 32}", "--uri", "https://registry.example/c5")  # fmt: skip
    for content in (b"nothing", b"less", b"worse"):
        judge_submission(ledger, receive(ledger, content).digest)
    store = DatabaseStore(ledger.database)
    for stored in ledger.evidence.list(ItemKind.REGISTRATION):
        content = ledger.evidence.read(stored)
        judge_submission(ledger, receive(ledger, content).digest)
        store.put(ItemKind.REGISTRATION, stored.uid, content)
    rehearsal.finish(ledger)
    supersede(root, ledger)
    rehearsal.finish(ledger)
    ledger.close()
    stop_detached(root / "chain")
    _leave_a_branch(root)
    return root


def _commands(root: Path) -> tuple[Callable[..., None], Callable[..., dict[str, str]]]:
    """A command on a workspace, and one with a role's key that is sent; both must succeed."""
    import io
    from contextlib import redirect_stdout

    def do(*words: str) -> None:
        assert run([*words, "--workspace", str(root)]) == 0, words

    def act(role: str, *words: str) -> dict[str, str]:
        keys = ("--keystore", str(root / f"keys/{role}.json"), "--password-file", str(root / "keys/password"))
        with redirect_stdout(io.StringIO()) as out:
            do(*words, *keys, "--broadcast", "-o", "json")
        told: dict[str, str] = json.loads(out.getvalue())["data"]
        return told

    return do, act


@pytest.fixture(scope="session")
def supersede() -> Callable[[Path, Any], list[str]]:
    """Supersedes the root that stands in a rehearsal's ledger, final; returns the options that state the tree."""

    def correct(root: Path, ledger: Any) -> list[str]:
        from ledger.steps.correcting.draft import standing_epoch
        from ledger.tree.keccak import checksum_address

        do, act = _commands(root)
        _, before = standing_epoch(ledger)
        one, other = sorted(before, key=lambda each: -before[each])[1:3]
        act("guardian", "gov", "pause")
        stated = ["--reason", "counted twice"]
        for account, cumulative in ((one, before[one] - 5), (other, before[other] + 5)):
            stated += ["--account", checksum_address(account), "--cumulative", str(cumulative)]
        announced = act("governor", "gov", "supersede", *stated)
        do("chain", "warp", "--to", announced["ready_at"], "--blocks", "1")
        act("governor", "gov", "execute", announced["operation"])
        do("chain", "warp", "--by", "12", "--blocks", "1")
        return stated

    return correct


def _leave_a_branch(root: Path) -> None:
    """As the follower notes it: a block believed, then not, and the branch it was the tip of."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(root / "ledger.sqlite")) as database:
        (chain_id, number, parent, at) = database.execute(
            "SELECT chain_id, number, hash, timestamp FROM chain_blocks ORDER BY number DESC LIMIT 1"
        ).fetchone()
        left = bytes([0x77] * 32)
        for standing in ("canonical", "orphaned"):
            database.execute(
                "INSERT INTO chain_blocks (chain_id, number, hash, parent_hash, timestamp, standing)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (chain_id, number + 1, left, parent, at + 12, standing),
            )
        database.execute(
            "INSERT INTO chain_reorgs (chain_id, fork_number, left_number, left_hash, final_number)"
            " VALUES (?, ?, ?, ?, ?)",
            (chain_id, number, number + 1, left, number - 1),
        )
        database.commit()


class ExampleDesk(Desk):
    """The command line to a copy of the settled worked example, with the keys of everybody in it."""

    def key(self, name: str) -> list[str]:
        """Options that sign as a verifier (`checker-0`, `meter`, `registry`, `grid`), an operator or a stranger."""
        from ledger.chain.sending.signer import write_keystore
        from ledger.demo.verifier import demo_key
        from ledger.demo.worked_example import WorkedExample

        keystore = self.root / "keys" / f"{name}.json"
        password_file = keystore.with_suffix(".password")
        if not password_file.exists():
            kind, _, rank = name.partition("-")
            labels = (kind, int(rank)) if rank.isdecimal() else (name,)
            network = WorkedExample()
            key = (
                network.operator_key(int(rank)) if kind == "operator" else demo_key(network.seed, *labels)
            )  # an operator's key goes by its node's name
            keystore.unlink(missing_ok=True)
            write_keystore(keystore, key, "test", light=True)
            password_file.write_text("test\n")
        return super().key(name)


@pytest.fixture
def example(
    settled_example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ExampleDesk]:
    """A copy of the settled worked example to act on, its chain running."""
    import shutil

    from ledger.chain.local.anvil import start_detached, stop_detached

    for name in ("ETH_KEYSTORE", "ETH_PASSWORD", "ETH_FROM", "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "ledger"
    shutil.copytree(settled_example, root)
    monkeypatch.setenv("ATH_LEDGER_WORKSPACE", str(root))
    start_detached(root / "chain")
    yield ExampleDesk(root, capsys)
    stop_detached(root / "chain")
