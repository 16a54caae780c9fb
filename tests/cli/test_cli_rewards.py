"""Rewards from the command line: shown, explained, proved, and claimed once on a real chain (R6, interfaces)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.local.anvil import stop_detached
from ledger.chain.sending.signer import KeySigner, write_keystore
from ledger.cli.edge import run
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import Address, Hash32, from_hex, to_hex
from ledger.tree.abi import address_word, uint_word
from ledger.tree.keccak import checksum_address
from ledger.tree.standard import leaf_hash, verify_proof
from ledger.workspace import Workspace

PAYOUTS_WEI = (721622231880848551330, 94424553082237484005, 79080577108913964665)
EXAMPLE = WorkedExample()
OPERATORS = tuple(checksum_address(signer.address) for signer in EXAMPLE.operators)
NODES = tuple(to_hex(node.node_id) for node in EXAMPLE.nodes)
STRANGER = "0x000000000000000000000000000000000000bEEF"
PASSWORD = "correct horse"


class Teller:
    """The command line on one workspace."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys

    def do(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run(["rewards", *arguments, "--workspace", str(self.root)])
        out, err = self._capsys.readouterr()
        return code, out, err

    def data(self, *arguments: str) -> Any:
        code, out, err = self.do(*arguments, "-o", "json")
        assert code == 0, err
        return json.loads(out)["data"]


@pytest.fixture(autouse=True)
def no_wallet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ETH_KEYSTORE", "ETH_PASSWORD", "ETH_FROM", "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def reader(settled_example: Path, capsys: pytest.CaptureFixture[str]) -> Teller:
    return Teller(settled_example, capsys)


@pytest.fixture
def wallet(settled_example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Teller]:
    """A copy of the settled example with its chain running, and a funded keystore of operator A."""
    root = tmp_path / "ledger"
    shutil.copytree(settled_example, root)
    key = EXAMPLE.operator_key(0)
    write_keystore(root / "keys" / "operator.json", key, PASSWORD, light=True)
    (root / "keys" / "operator.password").write_text(PASSWORD + "\n")
    ledger = Workspace.at(root).open(read_only=True)
    ledger.disconnect = lambda: None  # the chain goes on for the commands of the test
    connection = ledger.settlement().connection
    for account in (KeySigner(key).address, from_hex(STRANGER.lower(), 20)):
        connection.rpc("anvil_setBalance", to_hex(account), hex(10**20))
    ledger.close()
    yield Teller(root, capsys)
    stop_detached(root / "chain")


def key_of(teller: Teller) -> list[str]:
    keys = teller.root / "keys"
    return ["--keystore", str(keys / "operator.json"), "--password-file", str(keys / "operator.password")]


def on_chain(teller: Teller, account: str) -> tuple[int, int]:
    """Tokens and transactions of an account."""
    ledger = Workspace.at(teller.root).open(read_only=True)
    settlement = ledger.settlement()
    address = Address(from_hex(account.lower(), 20))
    token = settlement.deployment.token(settlement.connection)
    found = token.balance_wei(address, "latest"), settlement.connection.nonce(address)
    ledger.close()
    return found


def make_final(teller: Teller) -> None:
    ledger = Workspace.at(teller.root).open(read_only=True)
    ledger.settlement().connection.rpc("anvil_mine", hex(2))
    ledger.close()


def test_the_life_cycle_of_every_operator_is_shown_to_the_wei(reader: Teller) -> None:
    rows = {row["operator"]: row for row in reader.data("show")}
    assert rows.keys() == set(OPERATORS)
    for operator, payout in zip(OPERATORS, PAYOUTS_WEI, strict=True):
        assert rows[operator] == {
            "operator": operator,
            "pending_wei": "0",
            "amount_wei": str(payout),
            "claimed_wei": "0",
            "claimable_wei": str(payout),
        }


def test_one_operator_is_shown_with_proofs_and_epochs(reader: Teller) -> None:
    fact = reader.data("show", "--operator", OPERATORS[0])
    leaf = leaf_hash(address_word(EXAMPLE.operators[0].address) + uint_word(int(fact["amount_wei"])))
    assert verify_proof(from_hex(fact["root"]), leaf, [from_hex(node) for node in fact["proofs"]])
    assert [line["payout_wei"] for line in fact["epochs"]] == [str(PAYOUTS_WEI[0])]


def test_an_epochs_lines_sum_to_the_payouts(reader: Teller) -> None:
    rows = reader.data("show", "--epoch", "0")
    assert {row["operator"]: row["payout_wei"] for row in rows} == dict(
        zip(OPERATORS, map(str, PAYOUTS_WEI), strict=True)
    )
    for row in rows:
        assert sum(int(row[name]) for name in ("base_wei", "efficiency_wei", "green_wei")) == int(row["payout_wei"])
        assert row["amount_wei"] == row["payout_wei"]
        assert row["state"] == "final"


def test_the_history_of_an_operator_says_which_hours_it_was(reader: Teller) -> None:
    rows = reader.data("history", "--operator", OPERATORS[2])
    assert [(row["epoch"], row["payout_wei"], row["state"], row["days"]) for row in rows] == [
        (0, str(PAYOUTS_WEI[2]), "final", "2023-06-15 10:00 to 2023-06-15 14:00")
    ]


@pytest.mark.parametrize("command", ["show", "history", "proof"])
def test_an_operator_that_earned_nothing_is_not_found(reader: Teller, command: str) -> None:
    assert reader.do(command, "--operator", STRANGER)[0] == 3


@pytest.mark.parametrize("rank", range(3))
def test_the_golden_figures_appear_to_the_wei(reader: Teller, rank: int) -> None:
    golden = EXAMPLE.document["nodes"][rank]["expected"]
    fact = reader.data("explain", "--node", NODES[rank][:14], "--epoch", "0")
    assert fact["pay_wei"] == golden["payWei"] == str(PAYOUTS_WEI[rank])
    lines = {line["line"]: line["amount_wei"] for line in fact["lines"]}
    assert lines == {"base": golden["baseWei"], "efficiency": golden["efficiencyWei"], "green": golden["greenWei"]}
    assert sum(map(int, lines.values())) == PAYOUTS_WEI[rank]
    factors = {line["symbol"]: line["value"] for line in fact["factors"]}
    names = {"C": "C", "u": "uPpm", "U": "U", "s": "sPpm", "E": "E", "match": "matchPpm", "grid": "gridPpm", "G": "G",
             "M": "M", "W": "W", "pay": "payWei"}  # fmt: skip
    assert factors == {symbol: str(golden[name]) for symbol, name in names.items()}
    assert fact["share"]["rounding_wei"] == ("1" if rank == 0 else "0")
    assert fact["carve_outs"]["carbon_wei"] == "4872637928000000000"


def test_the_page_says_the_payout_the_evidence_and_what_a_missed_ramp_cost(reader: Teller) -> None:
    code, page, err = reader.do("explain", "--node", NODES[1])
    assert code == 0
    assert "payout 94.424553082237484005 ATH (94424553082237484005 wei)" in page
    fact = reader.data("explain", "--node", NODES[1])
    nearest = fact["nearest_missed"]
    more = nearest["changes"]["up_minutes"] - fact["statement"]["up_minutes"]
    assert f"need 99 % for the full ramp ({more} more minutes)" in page
    assert int(nearest["cost_wei"]) > 0
    assert len(fact["batches"]) == 8
    assert {batch["verdict"] for batch in fact["batches"]} == {"accepted"}
    assert page.count("accepted") == 8
    assert "as of epoch 0" in err


def test_explanations_go_into_a_spreadsheet(reader: Teller) -> None:
    code, out, _ = reader.do("explain", "--node", NODES[0], "-o", "csv")
    assert code == 0
    assert out.splitlines()[0] == "section,name,value,unit,detail"
    assert "line,base,492915737558358476770,wei,R4.20" in out.splitlines()


def test_without_a_node_the_operators_nodes_are_listed(reader: Teller) -> None:
    rows = reader.data("explain", "--operator", OPERATORS[0])
    assert [(row["node"], row["payout_wei"]) for row in rows] == [(NODES[0], str(PAYOUTS_WEI[0]))]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--node", "0x" + "f" * 64), 3),
        (("--node", NODES[0], "--epoch", "7"), 3),
        (("--node", "what"), 2),
        ((), 2),
        (("--operator", STRANGER), 3),
    ],
)
def test_what_cannot_be_explained_has_a_clear_exit_code(reader: Teller, arguments: tuple[str, ...], code: int) -> None:
    found, out, err = reader.do("explain", *arguments)
    assert (found, out) == (code, "")
    assert "Next: " in err


def test_a_proof_is_what_any_merkle_distributor_takes(reader: Teller) -> None:
    fact = reader.data("proof", "--operator", OPERATORS[1])
    assert fact["amount"] == str(PAYOUTS_WEI[1])
    leaf = leaf_hash(address_word(Address(from_hex(fact["account"].lower()))) + uint_word(int(fact["amount"])))
    assert verify_proof(from_hex(fact["root"]), leaf, [from_hex(node) for node in fact["proof"]])
    assert not verify_proof(Hash32(bytes(32)), leaf, [from_hex(node) for node in fact["proof"]])


def test_a_claim_is_a_dry_run_until_it_is_broadcast(wallet: Teller) -> None:
    before = on_chain(wallet, OPERATORS[0])
    fact = wallet.data("claim", *key_of(wallet))
    assert fact["operator"] == fact["payee"] == fact["from"] == OPERATORS[0]
    assert (fact["amount_wei"], fact["claimed_wei"], fact["claimable_wei"]) == (
        str(PAYOUTS_WEI[0]),
        "0",
        str(PAYOUTS_WEI[0]),
    )
    assert fact["sends"].startswith("RewardsLedger.claim(")
    assert fact["nonce"] == before[1]
    account = OPERATORS[0].lower()
    assert fact["journal"] == [
        {
            "debit": f"operator/{account}/payable",
            "credit": f"operator/{account}/claimed",
            "amount_wei": str(PAYOUTS_WEI[0]),
            "code": "claim",
        }
    ]
    assert on_chain(wallet, OPERATORS[0]) == before == (0, 0)


def test_a_claim_pays_once_and_the_books_learn_it_when_it_is_final(wallet: Teller) -> None:
    sent = wallet.data("claim", *key_of(wallet), "--broadcast")
    assert (sent["claimed_wei"], sent["claimable_wei"]) == (str(PAYOUTS_WEI[0]), "0")
    assert on_chain(wallet, OPERATORS[0]) == (PAYOUTS_WEI[0], 1)
    assert [each["in_the_books"] for each in sent["claims"]] == [False]

    make_final(wallet)
    code, out, err = wallet.do("claim", *key_of(wallet), "--broadcast", "-o", "json")
    again = json.loads(out)["data"]
    assert code == 0
    assert "nothing is left to claim" in err
    assert "transaction" not in again
    assert [(each["transaction"], each["in_the_books"]) for each in again["claims"]] == [(sent["transaction"], True)]
    assert on_chain(wallet, OPERATORS[0]) == (PAYOUTS_WEI[0], 1)

    shown = wallet.data("show", "--operator", OPERATORS[0])
    assert (shown["amount_wei"], shown["claimed_wei"], shown["claimable_wei"]) == (
        str(PAYOUTS_WEI[0]),
        str(PAYOUTS_WEI[0]),
        "0",
    )


def test_anybody_may_claim_for_an_operator_and_the_operator_is_paid(wallet: Teller) -> None:
    sent = wallet.data("claim", "--operator", OPERATORS[2], *key_of(wallet), "--broadcast")
    assert (sent["from"], sent["payee"]) == (OPERATORS[0], OPERATORS[2])
    assert on_chain(wallet, OPERATORS[2]) == (PAYOUTS_WEI[2], 0)
    assert on_chain(wallet, OPERATORS[0]) == (0, 1)


def test_calldata_for_another_wallet_is_the_claim_itself(wallet: Teller) -> None:
    code, out, _ = wallet.do("claim", "--operator", OPERATORS[1], "-o", "calldata")
    assert code == 0
    to, data = out.split()
    ledger = Workspace.at(wallet.root).open(read_only=True)
    connection = ledger.settlement().connection
    connection.rpc("anvil_impersonateAccount", STRANGER)
    connection.rpc("eth_sendTransaction", {"from": STRANGER, "to": to, "data": data})
    ledger.close()
    assert on_chain(wallet, OPERATORS[1])[0] == PAYOUTS_WEI[1]
    assert wallet.do("claim", "--operator", OPERATORS[1], "-o", "calldata", "--broadcast")[0] == 2


def test_a_claim_needs_the_books_only_to_be_read(wallet: Teller) -> None:
    with Workspace.at(wallet.root).reshaping():
        code, out, err = wallet.do("claim", *key_of(wallet), "--broadcast", "-o", "json")
    assert code == 0, err
    assert "the books are not written by this command" in err
    assert json.loads(out)["data"]["claimed_wei"] == str(PAYOUTS_WEI[0])


def test_a_transaction_on_its_way_is_waited_for_instead_of_repeated(wallet: Teller) -> None:
    ledger = Workspace.at(wallet.root).open(read_only=True)
    connection = ledger.settlement().connection
    connection.rpc("evm_setAutomine", False)
    _, out, _ = wallet.do("claim", *key_of(wallet), "-o", "calldata")
    to, data = out.split()
    connection.rpc("anvil_impersonateAccount", OPERATORS[0])
    connection.rpc("eth_sendTransaction", {"from": OPERATORS[0], "to": to, "data": data})
    code, _, err = wallet.do("claim", *key_of(wallet), "--broadcast")
    assert (code, "1 transactions that are not mined yet" in err) == (6, True)
    connection.rpc("evm_setAutomine", True)
    connection.rpc("anvil_mine", hex(1))
    ledger.close()
    assert wallet.do("claim", *key_of(wallet), "--broadcast")[0] == 0
    assert on_chain(wallet, OPERATORS[0]) == (PAYOUTS_WEI[0], 1)


def test_a_named_payee_receives_later_claims(wallet: Teller) -> None:
    dry = wallet.data("set-payee", "--payee", STRANGER, *key_of(wallet))
    assert dry["sends"].startswith("RewardsLedger.setPayee(")
    assert on_chain(wallet, OPERATORS[0])[1] == 0
    assert wallet.data("set-payee", "--payee", STRANGER, *key_of(wallet), "--broadcast")["payee"] == STRANGER
    code, _, err = wallet.do("set-payee", "--payee", STRANGER, *key_of(wallet), "--broadcast")
    assert (code, "nothing to send" in err) == (0, True)
    assert wallet.data("claim", *key_of(wallet), "--broadcast")["payee"] == STRANGER
    assert on_chain(wallet, STRANGER)[0] == PAYOUTS_WEI[0]
    assert on_chain(wallet, OPERATORS[0]) == (0, 2)


def test_a_claim_of_nobody_is_refused_before_any_key_is_asked_for(wallet: Teller) -> None:
    assert wallet.do("claim")[0] == 2
    assert wallet.do("claim", "--operator", STRANGER)[0] == 3


def test_a_wrong_password_sends_nothing(wallet: Teller) -> None:
    wrong = wallet.root / "keys" / "wrong"
    wrong.write_text("battery staple\n")
    keystore = str(wallet.root / "keys" / "operator.json")
    code, _, err = wallet.do("claim", "--keystore", keystore, "--password-file", str(wrong), "--broadcast")
    assert (code, "keys.keystore" in err) == (5, True)
    assert on_chain(wallet, OPERATORS[0]) == (0, 0)
