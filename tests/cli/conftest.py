"""What the command line's tests stand on: a workspace with a chain, accounts and files of its own per test."""

import json
from collections.abc import Iterator
from pathlib import Path

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
    from ledger.chain.anvil import stop_detached
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


class ExampleDesk(Desk):
    """The command line to a copy of the settled worked example, with the keys of everybody in it."""

    def key(self, name: str) -> list[str]:
        """Options that sign as a verifier (`checker-0`, `meter`, `registry`, `grid`), an operator or a stranger."""
        from ledger.chain.signer import write_keystore
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

    from ledger.chain.anvil import start_detached, stop_detached

    for name in ("ETH_KEYSTORE", "ETH_PASSWORD", "ETH_FROM", "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "ledger"
    shutil.copytree(settled_example, root)
    monkeypatch.setenv("ATH_LEDGER_WORKSPACE", str(root))
    start_detached(root / "chain")
    yield ExampleDesk(root, capsys)
    stop_detached(root / "chain")
