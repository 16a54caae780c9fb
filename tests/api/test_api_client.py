"""`--url` answers what a workspace answers: the same documents, the same exit codes, the same refusals."""

import json
from pathlib import Path
from typing import Any

import pytest
from http_server import Server

from ledger.cli.edge import run
from ledger.client.client import LedgerClient
from ledger.client.errors import ServerNotFoundError, ServerUnreachableError, ServerUsageError
from ledger.client.transport import Pages, Transport
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.storage.batch_files import write_batch
from ledger.model.units import EpochNumber
from ledger.workspace import Workspace

STRANGER = "0x" + "42" * 20


class Desk:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def do(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run(list(arguments))
        out, err = self._capsys.readouterr()
        return code, out, err

    def data(self, *arguments: str) -> Any:
        code, out, err = self.do(*arguments, "-o", "json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def desk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("ATH_LEDGER_URL", raising=False)
    return Desk(capsys)


@pytest.fixture
def root(played: Any) -> str:
    return str(played("sqlite").root)


@pytest.fixture
def operator(served: Server) -> str:
    with LedgerClient(served.url) as client:
        return next(row["operator"] for row in client.list_operators() if int(row["claimed_wei"]))


@pytest.fixture
def node(served: Server) -> str:
    with LedgerClient(served.url) as client:
        return next(iter(client.list_nodes(epoch=1)))["node_id"]


def questions(operator: str, node: str, uid: str) -> list[tuple[str, ...]]:
    return [
        ("epoch", "list"),
        ("epoch", "show", "1"),
        ("rewards", "show"),
        ("rewards", "show", "--operator", operator),
        ("rewards", "show", "--operator", operator, "--epoch", "1"),
        ("rewards", "history", "--operator", operator),
        ("rewards", "proof", "--operator", operator),
        ("rewards", "proof", "--operator", operator, "--epoch", "0"),
        ("rewards", "explain", "--node", node),
        ("rewards", "explain", "--node", node, "--epoch", "0"),
        ("node", "show", node),
        ("node", "list", "--operator", operator),
        ("batch", "list", "--epoch", "1"),
        ("batch", "status", uid),
    ]


@pytest.mark.parametrize("output", ["json", "csv", "table"])
def test_a_server_answers_what_the_workspace_answers(
    desk: Desk, served: Server, root: str, operator: str, node: str, output: str
) -> None:
    with LedgerClient(served.url) as client:
        uid = next(iter(client.list_batches(epoch=1)))["uid"]
    for question in questions(operator, node, uid):
        here = desk.do(*question, "--workspace", root, "-o", output)
        there = desk.do(*question, "--url", served.url, "-o", output)
        assert here[0] == 0, here
        assert there[0] == 0, there
        # of a final epoch a server speaks as of the moment it became final, so that its answer may be cached for ever
        data = [json.loads(each)["data"] if output == "json" else each for each in (here[1], there[1])]
        assert data[1] == data[0], question


def test_the_variable_names_a_server_and_a_named_workspace_wins(
    desk: Desk, served: Server, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATH_LEDGER_URL", served.url)
    asked_there = desk.data("epoch", "list")
    monkeypatch.setenv("ATH_LEDGER_URL", "http://127.0.0.1:9")
    assert desk.data("epoch", "list", "--workspace", root) == asked_there


@pytest.mark.parametrize(
    ("question", "code", "told"),
    [
        (("epoch", "show", "77"), 3, "db.not-found"),
        (("rewards", "proof", "--operator", STRANGER), 3, "claim.nothing-earned"),
        (("rewards", "history", "--operator", "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), 2, "address.checksum"),
    ],
)
def test_refusals_keep_their_code_and_exit_code(
    desk: Desk, served: Server, question: tuple[str, ...], code: int, told: str
) -> None:
    exit_code, out, err = desk.do(*question, "--url", served.url)
    assert (exit_code, out) == (code, "")
    assert err.startswith(f"{told}: ")


def test_a_server_that_is_not_there_or_is_no_ledger_is_an_environment_failure(desk: Desk, tmp_path: Path) -> None:
    code, _, err = desk.do("epoch", "list", "--url", "http://127.0.0.1:9")
    assert code == 5
    assert err.startswith("server.unreachable: 127.0.0.1:9 does not answer")
    code, _, err = desk.do("epoch", "list", "--url", "ledger.example")
    assert code == 2
    assert "is no server's address" in err


def test_the_address_that_serve_prints_will_do(desk: Desk, served: Server) -> None:
    assert desk.data("epoch", "list", "--url", served.url + "/v1") == desk.data("epoch", "list", "--url", served.url)


def test_an_answer_about_other_content_is_no_verdict(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"standing": None, "data": {"digest": "0x" + "11" * 32, "state": "admitted"}}
    monkeypatch.setattr(Transport, "_asked", lambda *_, **__: other)
    with LedgerClient(served.url) as client:
        with pytest.raises(ServerUnreachableError, match="the server answers about"):
            client.submit(b"{}")
        with pytest.raises(ServerUnreachableError, match="the server answers about"):
            client.verdict("0x" + "22" * 32)


def test_a_list_is_read_page_by_page_in_the_server_s_order(served: Server) -> None:
    with LedgerClient(served.url) as client:
        whole = list(client.list_transfers())
        asked = client._transport
        small: Pages[Any] = Pages(lambda cursor: asked._asked("GET", "/v1/transfers", {"cursor": cursor, "limit": 7}))
        assert list(small) == whole
        assert len(whole) > 14


def test_a_proof_that_does_not_hold_is_not_shown(
    desk: Desk, served: Server, operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = LedgerClient.show_latest_proof

    def inflated(self: LedgerClient, account: str) -> Any:
        found = honest(self, account)
        found.data["amount"] = str(int(found.data["amount"]) + 1)
        return found

    monkeypatch.setattr(LedgerClient, "show_latest_proof", inflated)
    code, out, err = desk.do("rewards", "proof", "--operator", operator, "--url", served.url)
    assert (code, out) == (4, "")
    assert "does not lead to the root" in err


def test_the_client_raises_by_kind_with_the_problem_at_hand(served: Server) -> None:
    with LedgerClient(served.url) as client:
        with pytest.raises(ServerNotFoundError) as missing:
            client.show_epoch(77)
        assert missing.value.problem["status"] == 404
        with pytest.raises(ServerUsageError):
            client.show_batch("0x12")
    with pytest.raises(ServerUnreachableError), LedgerClient("http://127.0.0.1:9", timeout_seconds=1) as gone:
        gone.show_chain()


def test_evidence_is_handed_in_and_its_verdict_waited_for(
    desk: Desk, served: Server, played: Any, tmp_path: Path
) -> None:
    deployment = Workspace.at(played("sqlite").root).deployment()
    domain = Domain(chain_id=deployment.chain_id, verifying_contract=deployment.addresses["RewardsLedger"])
    batch = next(iter(played("sqlite").network.batches(EpochNumber(1), domain)))
    good, torn, text = tmp_path / "batch.parquet", tmp_path / "torn.parquet", tmp_path / "text.json"
    good.write_bytes(write_batch(batch, domain))
    torn.write_bytes(good.read_bytes()[:-40])
    text.write_text("{}")
    rows = desk.data("batch", "submit", str(good), "--url", served.url)["data"]
    assert [(row["uid"], row["result"], row["code"]) for row in rows] == [("0x" + batch.uid.hex(), "admitted", "")]
    code, out, err = desk.do(
        "batch", "submit", str(torn), str(good), str(text), "--url", served.url, "-o", "json"
    )  # fmt: skip
    results = {Path(row["file"]).name: (row["result"], row["code"]) for row in json.loads(out)["data"]}
    assert code == 7
    assert results[good.name] == ("admitted", "")
    assert {results[torn.name][0], results[text.name][0]} == {"refused"}
    assert all(results[each.name][1].startswith("file.") for each in (torn, text))
    assert "2 of 3 refused" in err
