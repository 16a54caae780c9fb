"""A network is started from nothing: workspace, chain, accounts, configuration, contracts; every step twice."""

import json
from pathlib import Path
from typing import Any

from ledger.chain.deploying.configuration import read_config
from ledger.tree.keccak import parse_address

GENESIS = 1_700_006_400
Desk = Any  # conftest's


def test_making_a_workspace_twice_leaves_it_as_it_is(desk: Desk) -> None:
    before = (desk.root / "settings.toml").read_text()
    code, out, err = desk.do("init", "--clock", "system")
    assert (code, (desk.root / "settings.toml").read_text()) == (0, before)
    assert "left as it is" in err
    assert "already" not in out


def test_a_folder_with_other_things_in_it_is_no_place_for_a_workspace(desk: Desk) -> None:
    (desk.folder / "other").mkdir()
    (desk.folder / "other" / "letter.txt").write_text("mine")
    code, _, err = desk.do("init", desk.folder / "other")
    assert code == 2
    assert "is not empty" in err


def test_an_account_is_made_once_and_only_its_owner_may_read_its_key(desk: Desk) -> None:
    first = desk.data("chain", "account", "checker-1")
    assert desk.data("chain", "account", "checker-1") == first
    for file in (first[0]["keystore"], first[0]["password_file"]):
        assert Path(file).stat().st_mode & 0o077 == 0
    assert desk.do("chain", "account", "../elsewhere")[0] == 2


def test_the_configuration_is_data_and_its_explanations_are_talk(desk: Desk) -> None:
    _, config = desk.files()
    wanted = read_config(config)
    assert wanted.first_policy.quorum_k == 3
    assert wanted.first_policy.reserve_bps == 1000
    assert wanted.verifiers[1].registry_ids == [b"\x01" * 32]
    assert "governance_delay" in desk.do("chain", "config", "--tables", desk.folder / "tables.json")[2]


def test_a_configuration_that_is_not_filled_in_names_what_is_missing(desk: Desk) -> None:
    tables, config = desk.files()
    config.write_text(desk.do("chain", "config", "--tables", tables)[1])
    code, _, err = desk.do("chain", "deploy", "--config", config, *desk.key("deployer"))
    assert code == 2
    assert "treasury" in err
    assert "'ADDRESS'" in err


def test_a_dry_run_shows_the_addresses_that_will_be_and_sends_nothing(desk: Desk) -> None:
    tables, config = desk.files()
    planned = desk.data("chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"))
    (status,) = [desk.data("chain", "status")]
    assert status["head"] == 0
    assert not (desk.root / "deployment.json").exists()
    deployed = desk.data(
        "chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"), "--broadcast"
    )
    contracts = {row["name"]: row["value"] for row in planned if row["part"] == "contract"}
    assert contracts == {row["name"]: row["value"] for row in deployed if row["part"] == "contract"}
    assert len([row for row in planned if row["part"] == "transaction"]) == 9


def test_deploying_again_changes_nothing_even_when_the_first_run_died_before_its_last_line(desk: Desk) -> None:
    tables, config = desk.files()
    command = ("chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"), "--broadcast")
    first = desk.data(*command)
    head = desk.data("chain", "status")["head"]
    assert desk.data(*command) == first
    (desk.root / "deployment.json").unlink()  # as if the run had been killed before it wrote the file
    assert desk.data(*command) == first
    assert desk.data("chain", "status")["head"] == head


def test_a_workspace_belongs_to_one_network(desk: Desk) -> None:
    tables, config = desk.files()
    desk.do("chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"), "--broadcast")
    other = json.loads(config.read_text()) | {"window": 1800}
    config.write_text(json.dumps(other))
    code, _, err = desk.do("chain", "deploy", "--config", config, *desk.key("deployer"))
    assert code == 7
    assert "window 3600, the configuration says 1800" in err


def test_tables_that_are_not_those_of_the_policy_are_refused_before_anything_is_sent(desk: Desk) -> None:
    tables, config = desk.files()
    document = json.loads(tables.read_text())
    document["models"]["H100-SXM-80GB"]["tdpW"] += 1
    tables.write_text(json.dumps(document))
    code, _, err = desk.do("chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"))
    assert code == 2
    assert "policy.tablesHash" in err


def test_after_genesis_nothing_can_be_deployed(desk: Desk) -> None:
    _, config = desk.files()
    desk.do("chain", "warp", "--to", str(GENESIS))
    code, _, err = desk.do("chain", "deploy", "--config", config, *desk.key("deployer"))
    assert code == 7
    assert f"genesis {GENESIS}" in err


def test_warping_mines_a_block_at_the_second_and_makes_it_final(desk: Desk) -> None:
    tables, config = desk.files()
    desk.do("chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"), "--broadcast")
    before = desk.data("chain", "status")
    after = desk.data("chain", "warp", "--to", str(GENESIS))
    assert (after["head"], after["time"]) == (before["head"] + 3, GENESIS + 24)
    code, _, err = desk.do("chain", "warp", "--to", str(GENESIS))
    assert code == 2
    assert "cannot go back" in err


def test_a_chain_goes_on_where_it_stopped(desk: Desk) -> None:
    before = desk.data("chain", "warp", "--by", "500")
    assert desk.do("chain", "stop")[2] == "stopped the chain\n"
    code, _, err = desk.do("chain", "status")
    assert code == 5
    assert "ath-ledger chain start" in err
    after = desk.data("chain", "start")
    assert (after["head"], after["time"]) == (before["head"], before["time"])


def test_somebody_elses_chain_is_neither_started_nor_moved(desk: Desk) -> None:
    elsewhere = desk.folder / "elsewhere"
    assert desk.do("init", elsewhere, "--rpc", "http://127.0.0.1:1")[0] == 0
    for command in (("start",), ("stop",), ("warp", "--by", "1")):
        assert desk.do("chain", *command, "-w", elsewhere)[0] == 7
    assert desk.do("chain", "status", "-w", elsewhere)[0] == 5


def test_everybody_has_the_roles_of_the_configuration(desk: Desk) -> None:
    tables, config = desk.files()
    desk.do("chain", "deploy", "--config", config, "--tables", tables, *desk.key("deployer"), "--broadcast")
    rows = desk.data("chain", "roles")
    wanted = read_config(config).roles
    held = {row["role"]: (parse_address(row["account"]), row["delay_seconds"]) for row in rows}
    assert held == {
        "ADMIN": (wanted.admin[0], 7200),
        "PUBLISHER": (wanted.publisher[0], 0),
        "GUARDIAN": (wanted.guardian[0], 0),
        "GOVERNOR": (wanted.governor[0], 7200),
        "RETIRER": (wanted.retirer[0], 0),
    }
    assert next(row for row in rows if row["role"] == "PUBLISHER")["may_call"] == "RewardsLedger.proposeEpoch"


def test_the_sender_and_the_key_must_be_one_account(desk: Desk) -> None:
    _, config = desk.files()
    code, _, err = desk.do("chain", "deploy", "--config", config, *desk.key("deployer"), "--from", "0x" + "11" * 20)
    assert code == 7
    assert "keys.other-sender" in err


def test_a_command_that_signs_asks_for_an_account(desk: Desk) -> None:
    _, config = desk.files()
    code, _, err = desk.do("chain", "deploy", "--config", config, "--broadcast")
    assert code == 2
    assert "keys.no-signer" in err
