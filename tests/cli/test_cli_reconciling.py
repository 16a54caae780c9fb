"""`audit reconcile` and `clear-suspense` as an auditor meets them: dry run, booking, doctor, clearing."""

import json
from typing import Any

from ledger.chain.contracts.artefacts import REWARDS_LEDGER, storage_slot
from ledger.chain.local.demo_time import DemoTime
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import to_hex
from ledger.steps.transitions.follow import follow
from ledger.tree.abi import address_word, uint_word
from ledger.tree.keccak import keccak256
from ledger.workspace import Workspace


def break_the_chain(example: Any, claimed_wei: int) -> None:
    """Let the contract remember a claim that never happened."""
    ledger = Workspace.at(example.root).open()
    settlement = ledger.settlement()
    operator = WorkedExample().operators[1].address
    place = keccak256(address_word(operator) + uint_word(storage_slot(REWARDS_LEDGER, "_accounts")))
    word = "0x" + claimed_wei.to_bytes(32, "big").hex()
    settlement.connection.rpc("anvil_setStorageAt", to_hex(settlement.rewards_ledger.address), to_hex(place), word)
    DemoTime(settlement.connection).mine(3)
    follow(ledger)
    ledger.close()


def test_a_settled_ledger_agrees_and_says_at_which_block(example: Any) -> None:
    code, out, err = example.do("audit", "reconcile", "-o", "json")
    assert code == 0, err
    answer = json.loads(out)
    assert {row["outcome"] for row in answer["data"]} == {"agrees"}
    assert f"agree at block {answer['standing']['block']} " in err
    code, out, err = example.do("audit", "reconcile", "--quick")
    assert code == 0, err
    assert "not looked at" in out
    assert f"block {answer['standing']['block']}" in err


def test_a_difference_is_shown_booked_explained_by_the_doctor_and_cleared(example: Any) -> None:
    break_the_chain(example, 5)
    code, out, err = example.do("audit", "reconcile", "-o", "json")
    assert code == 4
    rows = [row for row in json.loads(out)["data"] if row["outcome"] == "differs"]
    assert [row["difference"] for row in rows] == ["-5", "5"]
    assert err.count("to be booked: suspense/") == 2
    assert "reconcile.differs: 2 differences" in err
    assert "--book" in err
    assert example.data("audit", "journal", "--kind", "suspense") == []

    code, _, err = example.do("audit", "reconcile", "--book", "--quick")
    assert code == 4
    keys = [line.removeprefix("booked ") for line in err.splitlines() if line.startswith("booked ")]
    assert len(keys) == 2
    code, out, err = example.do("doctor", "-o", "json")
    assert code == 4
    (found,) = (row for row in json.loads(out)["data"] if row["check"] == "suspense")
    assert (found["health"], found["code"]) == ("failed", "reconcile.suspense")
    assert keys[0] in found["found"]
    assert "clear-suspense" in found["next"]

    break_the_chain(example, 0)
    assert example.do("audit", "clear-suspense", keys[0], "--reason", " ")[0] == 2
    assert example.do("audit", "clear-suspense", "suspense/nothing", "--reason", "x")[0] == 3
    for key in keys:
        code, _, err = example.do("audit", "clear-suspense", key, "--reason", "the node was repaired")
        assert code == 0, err
        code, _, err = example.do("audit", "clear-suspense", key, "--reason", "said twice")
        assert code == 0, err
        assert "already" in err
    code, _, err = example.do("audit", "reconcile", "--quick")
    assert code == 0, err
    code, out, _ = example.do("doctor", "-o", "json")
    (found,) = (row for row in json.loads(out)["data"] if row["check"] == "suspense")
    assert found["health"] == "ok"
