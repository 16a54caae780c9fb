"""Registering a node, finding it, taking it out, on a copy of the settled worked example."""

import json
from pathlib import Path
from typing import Any

from ledger.db import items
from ledger.demo.worked_example import WorkedExample
from ledger.evidence.judging.active_nodes import active_nodes
from ledger.evidence.judging.verdicts import VerdictLog
from ledger.evidence.storage.item_files import read_registration
from ledger.evidence.storage.store import ItemKind
from ledger.model.units import EpochNumber
from ledger.tree.keccak import checksum_address, keccak256
from ledger.workspace import Workspace

NETWORK = WorkedExample()
NODE = "0x" + NETWORK.nodes[0].node_id.hex()
FIELDS = (
    "--serial", "RACK-7/U12", "--model", "H100-SXM-80GB", "--zone", "NO", "--country", "NO",
    "--nameplate-w", "5600", "--gpu-uuid", "GPU-7c8f", "--gpu-uuid", "GPU-7c90",
)  # fmt: skip


def with_field(name: str, value: str) -> tuple[str, ...]:
    place = FIELDS.index(name) + 1
    return (*FIELDS[:place], value, *FIELDS[place + 1 :])


def test_a_dry_run_prints_what_a_wallet_would_sign_and_sends_nothing(example: Any) -> None:
    code, out, err = example.do("node", "register", *FIELDS, *example.key("operator-0"))
    document = json.loads(out)
    assert (code, document["primaryType"]) == (0, "NodeRegistration")
    assert document["message"]["serial"] == "0x" + keccak256(b"RACK-7/U12").hex()
    assert document["message"]["gpuIds"][0] == "0x" + keccak256(b"GPU-7c8f").hex()
    assert document["message"]["country"] == "0x4e4f"
    assert int(document["message"]["validTo"]) == int(document["message"]["validFrom"]) + 365 * 86_400
    assert "dry run" in err
    assert len(example.data("node", "list")) == 3


def test_a_node_is_registered_found_and_replaced_by_the_next_sequence(example: Any) -> None:
    key = example.key("operator-0")
    assert example.data("node", "register", *FIELDS, *key, "--broadcast")[0]["result"] == "admitted"
    operator = checksum_address(NETWORK.operators[0].address)
    mine = example.data("node", "list", "--operator", operator)
    (new,) = (row for row in mine if row["node_id"] != NODE)
    assert (new["gpus"], new["nameplate_w"], new["sequence"]) == (2, 5600, 0)
    example.data("node", "register", *with_field("--nameplate-w", "6000"), *key, "--broadcast")
    shown = example.data("node", "show", new["node_id"])
    assert (shown["sequence"], shown["nameplate_w"]) == (1, 6000)
    assert [each["sequence"] for each in shown["registrations"]] == [0, 1]


def test_a_registration_can_be_written_now_and_sent_later(example: Any) -> None:
    file = example.folder / "node.json"
    key = example.key("operator-1")
    assert example.do("node", "register", *FIELDS, *key, "--out", file)[0] == 0
    assert len(example.data("node", "list")) == 3
    assert example.data("batch", "submit", file)[0]["kind"] == "registration"
    assert len(example.data("node", "list")) == 4
    code, _, err = example.do("node", "register", *FIELDS, *key, "--out", file)
    assert (code, err.splitlines()[-1].split(":")[0]) == (5, "file.exists")


def test_what_acceptance_would_refuse_is_refused_before_it_is_signed(example: Any) -> None:
    key = example.key("operator-0")
    refusals = {
        ("--model", "TI-83"): "model.unknown",
        ("--zone", "ATLANTIS"): "zone.unknown",
        ("--country", "Norway"): "registration.malformed",
        ("--nameplate-w", "6001"): "registration.malformed",
        ("--gpu-uuid", "GPU-7c90"): "registration.malformed",
        ("--serial", "0x12"): "usage.invalid",
    }
    for (name, value), code in refusals.items():
        ended, _, err = example.do("node", "register", *with_field(name, value), *key, "--broadcast")
        assert (name, ended, err.splitlines()[-1].split(":")[0]) == (name, 2 if code == "usage.invalid" else 7, code)
    over = ("--valid-from", "2020-01-01", "--valid-to", "2021-01-01")
    code, out, _ = example.do("node", "register", *FIELDS, *over, *key, "--broadcast", "-o", "json")
    assert (code, json.loads(out)["data"][0]["code"]) == (7, "registration.late")
    assert len(example.data("node", "list")) == 3
    unknown = with_field("--zone", "ATLANTIS")
    assert example.do("node", "register", *unknown, *key, "--broadcast", "--unchecked")[0] == 0


def test_the_same_sequence_cannot_say_two_things(example: Any) -> None:
    key = example.key("operator-0")
    first = (*FIELDS, "--sequence", "4", "--valid-from", "1686837600")
    assert example.data("node", "register", *first, *key, "--broadcast")[0]["result"] == "admitted"
    assert example.data("node", "register", *first, *key, "--broadcast")[0]["result"] == "known"
    other = (*with_field("--nameplate-w", "5000"), "--sequence", "4", "--valid-from", "1686837600")
    code, _, err = example.do("node", "register", *other, *key, "--broadcast")
    assert (code, "registration.fork" in err) == (7, True)


def counted(root: Path, epoch: EpochNumber) -> set[str]:
    """The nodes an epoch would count with the registrations that are here now (R1.5 to R1.7)."""
    ledger = Workspace.at(root).open(read_only=True)
    start = ledger.calendar.start(epoch)
    with ledger.database.reading() as session:
        frozen = items.frozen_items(session, epoch=epoch, start=start, last_arrival=items.last_arrival(session))
    stored = (ledger.evidence.get(ItemKind.REGISTRATION, each.uid) for each in frozen if each.kind == "registration")
    active = active_nodes(
        [read_registration(content, ledger.domain) for content in stored],
        domain=ledger.domain,
        epoch_start=start,
        epoch_end=ledger.calendar.end(epoch),
        tables=NETWORK.tables,
        previous_holders={},
        log=VerdictLog(),
    )
    ledger.close()
    return {"0x" + node.hex() for node in active.nodes["node_id"].to_list()}


def test_a_retired_node_is_in_no_epoch_that_begins_later(example: Any) -> None:
    code, out, _ = example.do("node", "retire", NODE, *example.key("operator-0"))
    assert (code, json.loads(out)["message"]["model"]) == (0, "retired")
    assert example.do("node", "retire", NODE, "--broadcast", *example.key("operator-1"))[0] == 7
    now = example.data("chain", "status")["time"]
    running = NETWORK.calendar.epoch_at(now)
    assert NODE in counted(example.root, EpochNumber(running + 1))
    assert example.data("node", "retire", NODE, "--broadcast", *example.key("operator-0"))[0]["result"] == "admitted"
    assert example.data("node", "show", NODE)["model"] == "retired"
    assert NODE in counted(example.root, running)
    assert NODE not in counted(example.root, EpochNumber(running + 1))
    assert len(counted(example.root, EpochNumber(running + 1))) == 2


def test_a_node_nobody_registered_is_not_found(example: Any) -> None:
    code, _, err = example.do("node", "show", "0x" + "00" * 32)
    assert (code, err.split(":")[0]) == (3, "node.not-registered")
    assert example.do("node", "list", "--epoch", "9")[0] == 3
