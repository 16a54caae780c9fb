"""Every route answers, as its documentation says it does, on both engines; every list is the same as CSV."""

import csv
import io
import json
from typing import Any

import jsonschema_rs
import pytest
from http_server import Server

from ledger.cli.edge import run


def samples(server: Server) -> dict[str, str]:
    """A value for each name that stands in a path."""
    statement = server.data("/v1/epochs/0/statements?limit=1")[0]
    batch = server.data("/v1/batches?limit=1")[0]
    return {
        "epoch": "0",
        "operator": statement["operator"],
        "node": statement["node_id"],
        "uid": batch["uid"],
        "verifier": batch["verifier"],
        "version": "1",
        "seq": "1",
        "issuance": server.data("/v1/certificates?limit=1")[0]["issuance"],
        "table": "energy",
    }


def routes(server: Server) -> tuple[dict[str, Any], list[str]]:
    document = server.get("/openapi.json").json()
    return document, sorted(path for path, methods in document["paths"].items() if "get" in methods)


def filled(path: str, values: dict[str, str]) -> str:
    return path.format(**values) + ("?from=0&to=1" if "/reports" in path else "")


def test_every_read_route_answers_in_the_shape_it_is_documented_with(either: Server) -> None:
    document, paths = routes(either)
    values = samples(either)
    components = {"components": document["components"]}
    asked = 0
    for path in paths:
        if "{digest}" in path:  # nothing was handed in here
            continue
        answer = either.get(filled(path, values))
        assert answer.status_code == 200, (path, answer.text)
        told = document["paths"][path]["get"]["responses"]["200"]["content"]
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in told, path
        if kind == "application/json":
            jsonschema_rs.validate({**told[kind]["schema"], **components}, answer.json())
        asked += 1
    assert asked >= 50


def test_every_list_has_a_csv_twin_with_the_same_rows(served: Server) -> None:
    _, paths = routes(served)
    values = samples(served)
    twins = [path for path in paths if f"{path}.csv" in paths]
    assert len(twins) >= 20
    for path in twins:
        rows = served.data(filled(path, values))
        answer = served.get(filled(f"{path}.csv", values))
        assert answer.headers["content-type"].startswith("text/csv")
        table = list(csv.reader(io.StringIO(answer.text)))
        assert len(table) == len(rows) + 1, path
        for row in rows:
            assert list(row) == table[0], path


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/v1/epochs", ["epoch", "list"]),
        ("/v1/operators", ["rewards", "show"]),
        ("/v1/epochs/1/allocations", ["rewards", "show", "--epoch", "1"]),
        ("/v1/operators/{operator}", None),
        ("/v1/operators/{operator}/history", ["rewards", "history", "--operator", "{operator}"]),
        ("/v1/operators/{operator}/proof", ["rewards", "proof", "--operator", "{operator}"]),
        ("/v1/epochs/0/explanations/{node}", ["rewards", "explain", "--epoch", "0", "--node", "{node}"]),
        ("/v1/nodes/{node}", ["node", "show", "{node}"]),
        ("/v1/nodes", ["node", "list", "--epoch", "1"]),
        ("/v1/batches/{uid}", ["batch", "status", "{uid}"]),
        ("/v1/policies", ["gov", "show"]),
        ("/v1/certificates/{issuance}/claims", ["audit", "certificate", "{issuance}"]),
        ("/v1/carbon/vault", ["carbon", "show"]),
    ],
)
def test_the_command_line_gives_the_same_data(
    served: Server, played: Any, capsys: pytest.CaptureFixture[str], path: str, arguments: list[str] | None
) -> None:
    values = samples(served)
    here = served.data(path.format(**values))
    if arguments is None:
        arguments, here = ["rewards", "show", "--operator", "{operator}"], here
    capsys.readouterr()
    given = [each.format(**values) for each in arguments]
    assert run([*given, "-w", str(played("sqlite").root), "-o", "json"]) == 0
    there = json.loads(capsys.readouterr().out)["data"]
    if path == "/v1/operators/{operator}":
        del there["epochs"]  # a list of its own over HTTP
    assert here == there


def test_amounts_are_decimal_strings_and_the_lines_sum_to_the_payout(served: Server) -> None:
    rows = served.data("/v1/epochs/1/statements")
    assert len(rows) == 12
    for row in rows:
        assert all(isinstance(row[name], str) for name in row if name.endswith("_wei"))
        assert int(row["pay_wei"]) == sum(int(row[f"{line}_wei"]) for line in ("base", "efficiency", "green"))
    total = served.data("/v1/epochs/1")["payout_wei"]
    assert sum(int(row["pay_wei"]) for row in rows) == int(total)
    assert sum(int(row["payout_wei"]) for row in served.data("/v1/epochs/1/allocations")) == int(total)


def test_a_proof_leads_to_the_root_on_its_epochs_header(served: Server) -> None:
    from ledger.model.units import Address, Hash32, from_hex
    from ledger.tree.abi import address_word, uint_word
    from ledger.tree.keccak import parse_address
    from ledger.tree.standard import leaf_hash, verify_proof

    operator = samples(served)["operator"]
    proof = served.data(f"/v1/epochs/1/proofs/{operator}")
    row = address_word(Address(parse_address(proof["account"]))) + uint_word(int(proof["amount"]), 256)
    nodes = [Hash32(from_hex(each, 32)) for each in proof["proof"]]
    assert verify_proof(Hash32(from_hex(proof["root"], 32)), leaf_hash(row), nodes)
    sealed = next(each for each in served.data("/v1/epochs/1/transitions") if each["state"] == "sealed")
    assert sealed["facts"]["claimRoot"] == proof["root"]


def test_the_trial_balance_balances_now_and_as_of_every_entry(either: Server) -> None:
    last = either.get("/v1/journal").json()["standing"]["seq"]
    assert last >= 6
    for query in ("", *(f"?as_of={seq}" for seq in range(1, last + 1)), "?as_of_epoch=0"):
        found = either.data(f"/v1/trial-balance{query}")
        assert found["is_balanced"], found["violations"]
        assert all(total["balance"] == "0" for total in found["totals"])


def test_transfers_can_be_followed_by_account(either: Server) -> None:
    operator = samples(either)["operator"].lower()
    mine = either.data(f"/v1/transfers?account=operator/{operator}/")
    assert mine
    assert all(f"operator/{operator}/" in row["debit"] + row["credit"] for row in mine)
    owed = sum(int(row["amount"]) for row in mine if row["credit"].endswith("payable"))
    gone = sum(int(row["amount"]) for row in mine if row["debit"].endswith("payable"))
    shown = either.data(f"/v1/operators/{operator}")
    assert int(shown["claimable_wei"]) == owed - gone
    accounts = either.data(f"/v1/accounts?begin=operator/{operator}/")
    assert {row["account"].rpartition("/")[2] for row in accounts} <= {"pending", "payable", "claimed"}


def test_a_verifier_that_lost_its_notes_learns_its_next_place(served: Server) -> None:
    verifier = samples(served)["verifier"]
    (place,) = served.data(f"/v1/verifiers/{verifier}/next?epoch=1")
    sent = served.data(f"/v1/verifiers/{verifier}/batches?epoch=1")
    assert place["sequence"] == len(sent)
    assert place["previous_batch"] == sent[-1]["uid"]


def test_an_operator_learns_where_its_payout_is(served: Server) -> None:
    rows = served.data(f"/v1/operators/{samples(served)['operator']}/payouts")
    first = rows[0]
    assert (first["epoch"], first["standing"], first["is_late"]) == (1, "claimable", False)
    assert int(first["payout_wei"]) > 0
    assert all(row["payout_wei"] is None for row in rows[1:])
