"""Governance: judged before it is sent, announced, executed after the delay, and never done twice."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.contracts.policy_registry import policy_words
from ledger.chain.sending.transact import plan_transaction, send
from ledger.cli.edge import run
from ledger.db.faultpoint import FAULTPOINT_VARIABLE
from ledger.model.header import EpochHeader
from ledger.model.units import ZERO_HASH, EpochNumber, Hash32, MicrogramsCo2e, Wei, from_hex
from ledger.workspace import Workspace

Desk = Any  # conftest's
GENESIS = 1_700_006_400


@pytest.fixture
def network(desk: Desk) -> Desk:
    """Deployed, governor and guardian one account, two hours of delay, four-hour epochs."""
    tables, config = desk.files()
    command = ("chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"), "--broadcast")
    assert desk.do(*command)[0] == 0
    return desk


def propose(desk: Desk, *arguments: str) -> tuple[int, str, str]:
    result: tuple[int, str, str] = desk.do("gov", "propose", *arguments, *desk.key("governor"))
    return result


def head(desk: Desk) -> int:
    return int(desk.data("chain", "status")["head"])


def test_a_policy_out_of_bounds_is_refused_by_name_and_nothing_is_sent(network: Desk) -> None:
    before = head(network)
    code, _, err = propose(
        network, "--set", "reserveBps=800", "--set", "quorumK=99", "--effective-epoch", "9", "--broadcast"
    )
    assert code == 7
    assert "quorum_k = 99 is outside [3, 21]" in err
    assert "reserve_bps moves by 200, at most 100 at once" in err
    assert head(network) == before


def test_a_policy_that_comes_too_soon_is_told_the_first_epoch_it_may_govern(network: Desk) -> None:
    code, _, err = propose(network, "--set", "reserveBps=950", "--effective-epoch", "1")
    assert code == 7
    assert "--effective-epoch 2 or later" in err
    network.do("chain", "warp", "--to", str(GENESIS + 3 * 3600))  # with the delay it is executed in epoch 1
    assert "--effective-epoch 3 or later" in propose(network, "--set", "reserveBps=950", "--effective-epoch", "2")[2]


@pytest.mark.parametrize("change", ["reserveBps", "reserveBps=9.5", "reservBps=950", "reserveBps=1000"])
def test_a_change_that_is_none_is_a_usage_error(network: Desk, change: str) -> None:
    assert propose(network, "--set", change, "--effective-epoch", "5")[0] == 2


def test_a_policy_is_announced_once_executed_once_and_cancelled_once(network: Desk) -> None:
    command = ("gov", "propose", "--set", "reserve_bps=950", "--effective-epoch", "3", *network.key("governor"))
    assert network.data(*command)["operation"]  # a dry run
    assert network.data("gov", "status") == []
    first = network.data(*command, "--broadcast")
    again = network.data(*command, "--broadcast")
    assert again["operation"] == first["operation"]
    (operation,) = network.data("gov", "status")
    assert (operation["state"], operation["changes"]) == ("waiting", "reserve_bps: 1000 → 950")

    execute = ("gov", "execute", first["operation"][:10], *network.key("governor"), "--broadcast")
    code, _, err = network.do(*execute)
    assert code == 7
    assert f"may be executed from {operation['ready_at']} on" in err
    network.do("chain", "warp", "--to", str(operation["ready_at"]))
    assert network.data(*execute)["state"] == "executed"
    at = head(network)
    assert network.data(*execute)["state"] == "executed"
    assert network.data(*command, "--broadcast")["already"].startswith("this policy is scheduled already")
    assert head(network) == at
    assert [row["standing"] for row in network.data("gov", "show")] == ["in force", "scheduled"]
    assert network.data("gov", "show", "--version", "2")["reserveBps"] == 950

    cancel = ("gov", "cancel", "--effective-epoch", "3", *network.key("governor"), "--broadcast")
    assert network.data(*cancel)["cancels_versions"] == "2"
    assert "cancelled already" in network.data(*cancel)["already"]
    shown = network.data("gov", "show")
    assert [(row["standing"], row["changes"]) for row in shown] == [
        ("in force", "first policy"),
        ("cancelled", "reserve_bps: 1000 → 950"),
    ]


def test_an_announcement_may_be_taken_back_and_made_again(network: Desk) -> None:
    command = ("gov", "propose", "--set", "kEffBps=5500", "--effective-epoch", "4", *network.key("governor"))
    operation = network.data(*command, "--broadcast")["operation"]
    cancel = ("gov", "cancel", operation, *network.key("governor"), "--broadcast")
    assert network.data(*cancel)["state"] == "cancelled"
    assert network.data(*cancel)["state"] == "cancelled"
    code, _, err = network.do("gov", "execute", operation, *network.key("governor"), "--broadcast")
    assert code == 7
    assert "was cancelled" in err
    assert network.data(*command, "--broadcast")["state"] == "waiting"
    assert [row["state"] for row in network.data("gov", "status", "--all")] == ["cancelled", "waiting"]


def test_the_calldata_is_what_broadcasting_sends(network: Desk) -> None:
    command = ("gov", "propose", "--set", "kEffBps=5500", "--effective-epoch", "4", *network.key("governor"))
    planned = network.data(*command)
    code, out, _ = network.do(*command, "-o", "calldata")
    assert code == 0
    assert out.split() == [planned["to"], planned["calldata"]]
    network.do(*command, "--broadcast")
    ledger = Workspace.at(network.root).open(read_only=True)
    sent = ledger.settlement().connection.rpc("eth_getBlockByNumber", "latest", True)["transactions"][0]
    ledger.close()
    assert sent["input"] == planned["calldata"]


def test_a_whole_policy_in_a_file_is_a_proposal_too(network: Desk) -> None:
    policy = {name: value for name, value in network.data("gov", "show", "--version", "1").items() if name[0] != "v"}
    for name in ("effective_epoch", "standing", "hash", "block", "changes"):
        del policy[name]
    file: Path = network.folder / "policy.json"
    file.write_text(json.dumps(policy | {"reserveBps": 1100}))
    code, out, _ = propose(network, "--policy", str(file), "--effective-epoch", "3", "-o", "json")
    assert code == 0
    assert json.loads(out)["data"]["changes"] == "reserve_bps: 1000 → 1100"
    assert propose(network, "--policy", str(file), "--set", "reserveBps=1100", "--effective-epoch", "3")[0] == 2


def test_tables_must_be_known_here_and_may_not_move_by_more_than_a_quarter(network: Desk) -> None:
    document = json.loads((network.folder / "tables.json").read_text())
    document["models"]["H100-SXM-80GB"]["tdpW"] = 900
    file: Path = network.folder / "other.json"
    file.write_text(json.dumps(document, indent=4))
    unknown = ("--set", "tablesHash=0x" + "ab" * 32, "--effective-epoch", "3")
    assert "policy.tables-missing" in propose(network, *unknown)[2]
    kept = network.data("gov", "tables", file)
    assert network.data("gov", "tables", file) == kept
    code, _, err = propose(network, "--set", f"tablesHash={kept['tables_hash']}", "--effective-epoch", "3")
    assert code == 7
    assert "tdp_w of model H100-SXM-80GB moves from 700 to 900, more than 25 %" in err


def test_who_does_not_hold_the_role_is_told_before_anything_is_sent(network: Desk) -> None:
    code, _, err = network.do("gov", "pause", *network.key("publisher"), "--broadcast")
    assert code == 7
    assert "asks for GUARDIAN" in err


def test_claims_are_paused_resumed_and_paused_again(network: Desk) -> None:
    pause = ("gov", "pause", *network.key("governor"), "--broadcast")
    resume = ("gov", "resume", *network.key("governor"), "--broadcast")
    first = network.data(*pause)
    assert "already" in network.data(*pause)
    operation = network.data(*resume)
    network.do("chain", "warp", "--to", str(operation["ready_at"]))
    network.do("gov", "execute", operation["operation"], *network.key("governor"), "--broadcast")
    assert network.data("chain", "status")["claims_paused"] is False
    second = network.data(*pause)
    assert second["transaction"] != first["transaction"]
    assert network.data("chain", "status")["claims_paused"] is True


def test_a_call_the_contract_refuses_holds_up_nothing(network: Desk) -> None:
    code, _, err = network.do("gov", "cancel", "--effective-epoch", "77", *network.key("governor"), "--broadcast")
    assert code == 7
    assert "NotScheduled(effective_epoch=77)" in err
    assert network.data("gov", "pause", *network.key("governor"), "--broadcast")["nonce"] == 0


def test_a_verifier_is_given_its_role_and_loses_it(network: Desk) -> None:
    network.do("chain", "account", "meter")
    command = ("gov", "verifier", "set", "energy", "meter", *network.key("governor"), "--broadcast")
    code, _, err = network.do(
        "gov", "verifier", "set", "energy", "meter", "--from-epoch", "0", *network.key("governor")
    )
    assert code == 7
    assert "--from-epoch 1 or later" in err
    for until in ("9", "2"):
        operation = network.data(*command, "--from-epoch", "4", "--until-epoch", until)
        network.do("chain", "warp", "--to", str(operation["ready_at"]))
        network.do("gov", "execute", operation["operation"], *network.key("governor"), "--broadcast")
        assert "already" in network.data(*command, "--from-epoch", "4", "--until-epoch", until)
        held = [row["schema"] for row in network.data("gov", "verifier", "list", "--epoch", "5")]
        assert held == (["uptime", "renewable", "energy"] if until == "9" else ["uptime", "renewable"])


def test_the_guardian_revokes_a_pending_epoch_and_the_governor_reopens_proposals(network: Desk) -> None:
    network.do("chain", "warp", "--to", str(GENESIS + 4 * 3600))
    _propose_empty_epoch(network)
    revoke = ("gov", "revoke-epoch", *network.key("governor"), "--broadcast")
    assert network.data(*revoke)["epoch"] == 0
    assert "already" in network.data(*revoke)
    status = network.data("chain", "status")
    assert (status["pending_header"], status["proposals_open"]) == (None, False)
    operation = network.data("gov", "reopen", *network.key("governor"), "--broadcast")
    network.do("chain", "warp", "--to", str(operation["ready_at"]))
    network.do("gov", "execute", operation["operation"], *network.key("governor"), "--broadcast")
    assert network.data("chain", "status")["proposals_open"] is True


def _propose_empty_epoch(desk: Desk) -> None:
    """The publisher proposes epoch 0 with nothing but the reserve in it."""
    from ledger.chain.sending.signer import open_keystore, read_password

    _, keystore, _, password_file = desk.key("publisher")
    ledger = Workspace.at(desk.root).open()
    settlement = ledger.settlement()
    registry = settlement.deployment.policy_registry(settlement.connection)
    policy = registry.policy_at(EpochNumber(0), "latest")
    assert policy_words(policy)[0] == policy.epoch_budget_wei
    reserve = policy.epoch_budget_wei * policy.reserve_bps // 10_000
    header = EpochHeader(
        epoch=EpochNumber(0),
        claim_root=ZERO_HASH,
        ledger_head=Hash32(b"\x01" * 32),
        policy_hash=registry.policy_hash_at(EpochNumber(0), "latest"),
        manifest_hash=Hash32(from_hex("0x" + "02" * 32)),
        parent_hash=ZERO_HASH,
        payout=Wei(0),
        carbon=Wei(0),
        reserve=Wei(reserve),
        rollover=Wei(policy.epoch_budget_wei - reserve),
        residual_micrograms=MicrogramsCo2e(0),
    )
    signer = open_keystore(Path(keystore), read_password(Path(password_file)))
    call = settlement.rewards_ledger.propose_epoch(header)
    send(settlement.connection, signer, plan_transaction(settlement.connection, signer.address, call))
    ledger.close()


def test_help_answers_without_a_workspace(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gov", "propose", "--help"]) == 0
    assert "--effective-epoch" in capsys.readouterr().out


@pytest.mark.parametrize(
    "place",
    [
        "outbox.sign.before_commit",
        "outbox.sign.after_commit",
        "outbox.broadcast.after_send",
        "outbox.mined.before_commit",
    ],
)
def test_a_command_that_is_killed_while_it_sends_is_finished_by_running_it_again(network: Desk, place: str) -> None:
    before = head(network)
    child = os.fork()
    if child == 0:
        try:
            os.environ[FAULTPOINT_VARIABLE] = place
            run(["gov", "propose", "--set", "reserveBps=950", "--effective-epoch", "3", "--broadcast",
                 *network.key("governor")])  # fmt: skip
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert propose(network, "--set", "reserveBps=950", "--effective-epoch", "3", "--broadcast")[0] == 0
    assert [row["state"] for row in network.data("gov", "status")] == ["waiting"]
    assert head(network) == before + 1
