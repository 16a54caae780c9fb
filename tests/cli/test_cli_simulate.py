"""`gov simulate` and the proposal that names it: files, formats, refusals, and the Safe app's file."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ledger.chain.local.anvil import stop_detached
from ledger.chain.sending.safe import is_intact
from ledger.cli.edge import run

CHANGE = ("--set", "gMatchBps=2250")


class Ledger:
    """A settled workspace of its own and the command line to it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys

    def do(self, *arguments: str | Path) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run([*map(str, arguments), "--workspace", str(self.root)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def said(self, *arguments: str | Path) -> str:
        code, out, err = self.do(*arguments)
        assert code == 0, err
        return out

    @property
    def governor(self) -> list[str]:
        keys = self.root / "keys"
        return ["--keystore", str(keys / "governor.json"), "--password-file", str(keys / "password")]

    def propose(self, *arguments: str | Path) -> tuple[int, str, str]:
        return self.do("gov", "propose", *CHANGE, "--effective-epoch", "30", *self.governor, *arguments)


@pytest.fixture(scope="module")
def folder(settled_example: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from ledger.workspace import Workspace

    root = tmp_path_factory.mktemp("simulate") / "ledger"
    shutil.copytree(settled_example, root)
    holder = Workspace.at(root).open(read_only=True)
    holder.settlement()  # the chain runs for all tests here: starting it takes longer than any of them
    yield root
    holder.close()
    stop_detached(root / "chain")


@pytest.fixture
def ledger(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ledger:
    for name in ("ETH_KEYSTORE", "ETH_PASSWORD", "ETH_FROM", "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)
    return Ledger(folder, capsys)


@pytest.fixture
def simulated(ledger: Ledger, tmp_path: Path) -> Path:
    ledger.said("gov", "simulate", *CHANGE, "--out", tmp_path / "out")
    return tmp_path / "out"


def test_the_files_are_the_report_the_document_and_the_drawings(ledger: Ledger, simulated: Path) -> None:
    charts = {"budget.svg", "operators.svg", "models.svg", "zones.svg", "countries.svg"}
    assert {path.name for path in simulated.iterdir()} == charts | {"simulation.json", "simulation.md"}
    page = (simulated / "simulation.md").read_text()
    digest = hashlib.sha256((simulated / "simulation.json").read_bytes()).hexdigest()
    assert f"`0x{digest}`" in page
    assert "- `g_match_bps`: 2000 → 2250" in page
    for name in charts:
        assert f"]({name})" in page
        ElementTree.parse(simulated / name)


def test_every_format_says_the_same(ledger: Ledger, simulated: Path) -> None:
    document = json.loads((simulated / "simulation.json").read_bytes())
    answer = json.loads(ledger.said("gov", "simulate", *CHANGE, "-o", "json"))
    assert answer["standing"]["epoch"] == 0
    assert {name: answer["data"][name] for name in document} == document
    rows = document["operators"]["rows"]
    table = ledger.said("gov", "simulate", *CHANGE)
    lines = ledger.said("gov", "simulate", *CHANGE, "-o", "csv").splitlines()
    page = ledger.said("gov", "simulate", *CHANGE, "-o", "markdown")
    assert lines[0] == "operator,nodes,sealed_wei,proposed_wei,delta_wei,delta_ppm"
    for row, line in zip(rows, lines[1:], strict=True):
        assert line.lower() == ",".join(str(row[name]) for name in lines[0].split(","))
        for text in (table, page):
            assert row["delta_wei"] in text
    assert answer["data"]["simulation_hash"] in table
    assert "cannot know it" in table


def test_simulating_writes_nothing_into_the_workspace(ledger: Ledger) -> None:
    def contents() -> dict[str, bytes]:
        files = [path for path in ledger.root.rglob("*") if path.is_file() and "chain" not in path.parts]
        return {str(path): path.read_bytes() for path in files if not path.name.endswith((".lock", "-shm", "-wal"))}

    before = contents()
    ledger.said("gov", "simulate", *CHANGE)
    assert contents() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--set", "gMatchBps=2300"), 7, "policy.bounds: g_match_bps moves by 300, at most 250 at once"),
        (("--set", "gMatchBps=2000"), 2, "nothing changes"),
        (("--set", "gMuchBps=2100"), 2, "usage.invalid"),
        ((), 2, "name changes with --set"),
        (("--set", "gMatchBps=2100", "--version", "1"), 2, "name changes with --set"),
        (("--version", "9"), 3, "there is no policy version 9"),
        (("--set", f"tablesHash=0x{'07' * 32}"), 7, "policy.tables-missing"),
    ],
)
def test_a_refusal_says_why(ledger: Ledger, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, out, err = ledger.do("gov", "simulate", *arguments)
    assert (found, out) == (code, "")
    assert words in err


def test_a_proposal_names_its_simulation_everywhere(ledger: Ledger, simulated: Path) -> None:
    file = simulated / "simulation.json"
    digest = "0x" + hashlib.sha256(file.read_bytes()).hexdigest()
    code, out, err = ledger.propose("--simulation", file, "-o", "json")
    assert code == 0, err
    planned: dict[str, Any] = json.loads(out)["data"]
    assert planned["simulation"] == digest
    assert planned["sends"].startswith("AccessManager.schedule(")
    assert planned["then"].startswith("AccessManager.execute(")
    assert planned["announces"].startswith("PolicyRegistry.schedule(policy=0x")
    batch = json.loads(ledger.propose("--simulation", file, "-o", "safe")[1])
    assert is_intact(batch)
    for words in (f"simulation: {digest}", "g_match_bps: 2000 → 2250", planned["operation"], "AccessManager.execute("):
        assert words in batch["meta"]["description"]
    (transaction,) = batch["transactions"]
    assert transaction["to"] == planned["to"]
    assert transaction["contractMethod"]["name"] == "schedule"
    assert transaction["contractInputsValues"]["data"][2:] in planned["calldata"]


def test_a_proposal_cannot_name_the_simulation_of_another_policy(ledger: Ledger, simulated: Path) -> None:
    other = ("gov", "propose", "--set", "gMatchBps=2100", "--effective-epoch", "30", *ledger.governor)
    code, _, err = ledger.do(*other, "--simulation", simulated / "simulation.json")
    assert (code, "simulation.other-proposal" in err) == (7, True)


def test_a_touched_simulation_is_refused(ledger: Ledger, simulated: Path) -> None:
    file = simulated / "simulation.json"
    file.write_bytes(file.read_bytes().replace(b'"gain":', b'"gain": '))
    assert ledger.propose("--simulation", file)[0] == 2
    assert ledger.propose("--simulation", simulated / "none.json")[0] == 2


def test_what_another_wallet_sends_is_not_sent_here(ledger: Ledger) -> None:
    for output in ("safe", "calldata"):
        code, _, err = ledger.propose("-o", output, "--broadcast")
        assert (code, f"-o {output} is for another wallet to send" in err) == (2, True)


def test_the_file_for_the_safe_and_the_calldata_are_one_transaction(ledger: Ledger) -> None:
    to, calldata = ledger.propose("-o", "calldata")[1].split()
    (transaction,) = json.loads(ledger.propose("-o", "safe")[1])["transactions"]
    assert transaction["to"] == to
    assert transaction["contractInputsValues"]["data"][2:] in calldata
