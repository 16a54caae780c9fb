"""`ath-ledger audit`: what is right verifies, and whatever is changed is found and named."""

import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ledger.chain.local.anvil import start_detached, stop_detached
from ledger.cli.edge import run

MISMATCH = 4
REPOSITORY = Path(__file__).parents[2]
ARTEFACTS = (
    "claims-credited.parquet",
    "gpu-holders.parquet",
    "hours-refused.parquet",
    "roles.json",
    "statements.parquet",
    "tree.bin",
    "used-ranges.parquet",
    "verdicts.parquet",
    "zone-hours.parquet",
)
Answer = tuple[int, str, str]
Ask = Callable[..., Answer]


@pytest.fixture
def workspace(settled_example: Path, tmp_path: Path) -> Path:
    """A copy of the settled example that may be damaged."""
    return Path(shutil.copytree(settled_example, tmp_path / "ledger"))


@pytest.fixture
def ask(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def do(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = run(["audit", *map(str, arguments)])
        return code, *capsys.readouterr()

    def on_workspace(command: str, *arguments: str | Path, elsewhere: bool = False) -> Answer:
        return do(command, *arguments) if elsewhere else do(command, *arguments, "--workspace", workspace)

    return on_workspace


@contextmanager
def unguarded(workspace: Path) -> Iterator[sqlite3.Connection]:
    """The raw database with its guards off, as somebody with the file could open it; put back before it is closed."""
    database = sqlite3.connect(workspace / "ledger.sqlite")
    try:
        guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            database.execute(f'DROP TRIGGER "{name}"')
        yield database
        for _, statement in guards:
            database.execute(statement)
        database.commit()
    finally:
        database.close()


def flip(place: Path, at: int | None = None) -> None:
    content = bytearray(place.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    place.write_bytes(content)


def failed(out: str) -> list[dict[str, Any]]:
    return [row for row in json.loads(out)["data"] if row["result"] == "FAILED"]


# verify


def test_the_worked_example_verifies(ask: Ask) -> None:
    code, out, err = ask("verify", "--epoch", "0", "-o", "json")
    assert code == 0, err
    rows = json.loads(out)["data"]
    assert {row["result"] for row in rows} == {"passed"}
    assert {"evidence.files", "artefact.files", "journal", "statements", "header", "policy.entry"} <= {
        row["check"] for row in rows
    }
    assert all(row["rule"] for row in rows)
    assert "all" in err
    assert "not held against a chain" in err


def test_an_epoch_that_is_not_sealed_is_named(ask: Ask) -> None:
    code, _, err = ask("verify", "--epoch", "7")
    assert code == 3
    assert "verify.not-sealed" in err


@pytest.mark.parametrize("kind", ["batch", "registration"])
def test_a_flipped_byte_of_evidence_is_found_and_its_file_named(ask: Ask, workspace: Path, kind: str) -> None:
    place = sorted((workspace / "evidence" / kind).glob("*/*"))[0]
    flip(place)
    code, out, err = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert place.name in err
    first = failed(out)[0]
    assert first["check"] == "evidence.files"
    assert str(place) in first["found"]


def test_a_flipped_byte_that_no_reader_looks_at_is_found(ask: Ask, workspace: Path) -> None:
    """The writer's name in a Parquet footer means nothing to a batch."""
    place = sorted((workspace / "evidence" / "batch").glob("*/*"))[0]
    at = place.read_bytes().index(b"Polars")
    flip(place, at)
    code, _, err = ask("verify")
    assert code == MISMATCH
    assert place.name in err
    flip(place, at)
    assert ask("verify")[0] == 0


def test_evidence_that_is_gone_or_replaced_is_found(ask: Ask, workspace: Path) -> None:
    first, second = sorted((workspace / "evidence" / "registration").glob("*/*"))[:2]
    uid, _, suffix = first.name.split(".")
    other = second.read_bytes()
    first.unlink()
    code, out, _ = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert (failed(out)[0]["found"], uid in failed(out)[0]["where"]) == ("absent", True)
    replaced = first.with_name(f"{uid}.{hashlib.sha256(other).hexdigest()}.{suffix}")
    replaced.write_bytes(other)
    code, out, _ = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert "another file" in failed(out)[0]["found"]


@pytest.mark.parametrize("name", ARTEFACTS)
def test_a_flipped_byte_of_an_artefact_is_found_and_its_file_named(ask: Ask, workspace: Path, name: str) -> None:
    place = workspace / "artefacts" / "00000000" / "1" / name
    flip(place)
    code, out, err = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert f"artefacts/00000000/1/{name}" in err
    assert failed(out)[0]["where"] == f"artefacts/00000000/1/{name}"


def test_every_artefact_is_covered_by_these_tests(settled_example: Path) -> None:
    assert sorted(place.name for place in (settled_example / "artefacts").glob("*/*/*")) == list(ARTEFACTS)


def forge(workspace: Path, kind: str, frame: pl.DataFrame) -> None:
    """Put another file in an artefact's place, with its size and the digest in the row that names it."""
    place = workspace / "artefacts" / "00000000" / "1" / f"{kind}.parquet"
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    place.write_bytes(buffer.getvalue())
    with unguarded(workspace) as database:
        values = (hashlib.sha256(buffer.getvalue()).digest(), len(buffer.getvalue()), kind)
        database.execute("UPDATE artefacts SET content_digest = ?, size = ? WHERE kind = ?", values)


def test_a_statement_cell_changed_with_its_digest_is_found(ask: Ask, workspace: Path) -> None:
    """The file and the row that names its digest agree with each other, and not with the evidence."""
    place = workspace / "artefacts" / "00000000" / "1" / "statements.parquet"
    frame = pl.read_parquet(place)
    kept = frame.schema
    changed = frame.with_columns((pl.col("pay_wei").cast(pl.Int128) + 1).cast(kept["pay_wei"]).alias("pay_wei"))
    forge(workspace, "statements", changed)
    code, out, err = ask("verify", "-o", "json")
    assert code == MISMATCH
    (row,) = failed(out)
    assert row["check"] == "statements"
    assert row["where"].endswith("· pay_wei")
    assert int(row["found"]) == int(row["expected"]) + 1
    assert "epoch 0, statements (R4.23)" in err


def refused_hour(node_id: bytes) -> pl.DataFrame:
    row = (node_id, bytes([0x22] * 20), 1, "energy.implausible")
    columns = {"node_id": pl.Binary, "verifier": pl.Binary, "hour": pl.Int64, "code": pl.String}
    return pl.DataFrame([row], schema=columns, orient="row")


FORGED: dict[str, tuple[str, Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a refusal made an acceptance": ("verdicts", lambda f: f.with_columns(detail=pl.lit("fine")), "detail.verdicts"),
    "a verdict left out": ("verdicts", lambda f: f.slice(1), "detail.verdicts"),
    "two verdicts swapped": ("verdicts", lambda f: pl.concat([f[1], f[0], f[2:]]), "detail.verdicts"),
    "a column more": ("verdicts", lambda f: f.with_columns(note=pl.lit("x")), "record"),
    "a certificate credited more": (
        "claims-credited", lambda f: f.with_columns(pl.col("credited_wh") + 1), "detail.claims-credited",
    ),
    "a certificate of another source": (
        "claims-credited", lambda f: f.with_columns(source=pl.lit(1, dtype=pl.Int64)), "detail.claims-credited",
    ),
    "a certificate left out": ("claims-credited", lambda f: f.head(-1), "detail.claims-credited"),
    "a cleaner grid": ("zone-hours", lambda f: f.with_columns(pl.col("location_ef_mg") - 1), "detail.zone-hours"),
    "more matched": ("zone-hours", lambda f: f.with_columns(m1_wh=pl.col("load_wh")), "detail.zone-hours"),
    "an estimate called measured": (
        "zone-hours", lambda f: f.with_columns(estimated=~pl.col("estimated")), "detail.zone-hours",
    ),
    "a zone left out": ("zone-hours", lambda f: f.filter(pl.col("zone") != "ES"), "detail.zone-hours"),
    "a reading refused that was not": ("hours-refused", lambda _: refused_hour(b"\x11" * 32), "detail.hours-refused"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_detail_file_forged_with_its_digest_is_found_by_recomputing(ask: Ask, workspace: Path, what: str) -> None:
    kind, change, check = FORGED[what]
    frame = pl.read_parquet(workspace / "artefacts" / "00000000" / "1" / f"{kind}.parquet")
    forge(workspace, kind, change(frame))
    code, out, err = ask("verify", "--offline", "-o", "json")
    assert code == MISMATCH
    found = failed(out)[0]
    assert found["check"] == check
    assert kind in (found["where"] + found["found"]), err


def test_a_forged_register_of_used_certificates_is_found(ask: Ask, workspace: Path) -> None:
    """Somebody empties the register, with its digest, so that certificates can be sold twice."""
    place = workspace / "artefacts" / "00000000" / "1" / "used-ranges.parquet"
    forge(workspace, "used-ranges", pl.read_parquet(place).clear())
    code, out, _ = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert [row["check"] for row in failed(out)] == ["file.used-ranges"]


def test_a_changed_journal_byte_is_found_with_its_seq(ask: Ask, workspace: Path) -> None:
    with unguarded(workspace) as database:
        (canonical,) = database.execute("SELECT canonical FROM journal_entries WHERE seq = 3").fetchone()
        at = bytes(canonical).find(b'"block":') + len(b'"block":')
        changed = canonical[:at] + (b"8" if canonical[at : at + 1] != b"8" else b"7") + canonical[at + 1 :]
        database.execute("UPDATE journal_entries SET canonical = ? WHERE seq = 3", (changed,))
    code, out, err = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert "seq 3" in err
    assert failed(out)[0]["check"] == "journal"
    code, _, err = ask("journal", "--verify")
    assert code == MISMATCH
    assert "seq 3" in err


def test_a_changed_transfer_is_found(ask: Ask, workspace: Path) -> None:
    with unguarded(workspace) as database:
        (amount,) = database.execute("SELECT amount FROM transfers WHERE entry_seq = 2 AND line_no = 0").fetchone()
        more = f"{int(amount) + 1:0{len(amount)}d}"
        database.execute("UPDATE transfers SET amount = ? WHERE entry_seq = 2 AND line_no = 0", (more,))
    code, out, err = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert "seq 2" in err
    assert {"journal", "seal.transfers", "seal.chain"} <= {row["check"] for row in failed(out)}
    code, _, err = ask("trial-balance")
    assert code == MISMATCH
    assert "books.out-of-balance" in err


@pytest.mark.parametrize("member", ["payout", "claim_root", "manifest_hash", "rollover"])
def test_a_changed_header_is_found(ask: Ask, workspace: Path, member: str) -> None:
    with unguarded(workspace) as database:
        (facts,) = database.execute("SELECT facts FROM epoch_events WHERE state = 'sealed'").fetchone()
        document = json.loads(facts)
        found = document["header"][member]
        changed = str(int(found) + 1) if str(found).isdecimal() else found[:-1] + "01"[found[-1] == "0"]
        document["header"][member] = changed
        database.execute("UPDATE epoch_events SET facts = ? WHERE state = 'sealed'", (json.dumps(document),))
    code, out, _ = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert ("header", f"header · {member}") in {(row["check"], row["where"]) for row in failed(out)}


def test_changed_facts_that_cannot_even_be_read_are_a_difference(ask: Ask, workspace: Path) -> None:
    with unguarded(workspace) as database:
        database.execute("UPDATE epoch_events SET facts = '{}' WHERE state = 'computed'")
    code, out, _ = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert "record" in {row["check"] for row in failed(out)}


def test_another_policy_in_the_books_is_found(ask: Ask, workspace: Path) -> None:
    with unguarded(workspace) as database:
        (parameters,) = database.execute("SELECT parameters FROM policies").fetchone()
        document = json.loads(parameters)
        document["reserveBps"] -= 100
        database.execute("UPDATE policies SET parameters = ?", (json.dumps(document),))
    code, out, _ = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert {"policy.hash", "rows.policies"} <= {row["check"] for row in failed(out)}


def test_only_says_what_it_believes(ask: Ask) -> None:
    assert ask("verify", "--epoch", "0", "--only")[0] == 0
    assert ask("verify", "--offline", "--rpc", "http://localhost:1")[0] == 2


# the chain


@pytest.fixture
def running(workspace: Path) -> Iterator[str]:
    yield start_detached(workspace / "chain").rpc_url
    stop_detached(workspace / "chain")


def test_the_chain_is_asked_where_it_runs(ask: Ask, running: str, tmp_path: Path) -> None:
    code, out, err = ask("verify", "-o", "json")
    assert code == 0, err
    checks = {row["check"] for row in json.loads(out)["data"]}
    assert {"chain.last-header", "chain.roles", "chain.policy", "header.on-chain", "chain.roles-block"} <= checks
    assert "not held against a chain" not in err
    bundle = tmp_path / "bundle.zip"
    assert ask("export", "--epoch", "0", "--out", bundle)[0] == 0
    code, out, err = ask("verify", bundle, "--rpc", running, "-o", "json", elsewhere=True)
    assert code == 0, err
    assert {"chain.last-header", "chain.roles", "header.on-chain"} <= {row["check"] for row in json.loads(out)["data"]}


def test_roles_the_chain_does_not_have_are_found(ask: Ask, running: str, workspace: Path) -> None:
    """A verifier slipped into the frozen roles, digest and all, without governance."""
    place = workspace / "artefacts" / "00000000" / "1" / "roles.json"
    forged = place.read_bytes().replace(b'"fromEpoch":0', b'"fromEpoch":9', 1)
    place.write_bytes(forged)
    with unguarded(workspace) as database:
        digest = hashlib.sha256(forged).digest()
        database.execute("UPDATE artefacts SET content_digest = ? WHERE kind = 'roles'", (digest,))
    code, out, _ = ask("verify", "-o", "json")
    assert code == MISMATCH
    assert failed(out)[0]["check"] == "chain.roles"


def test_a_chain_that_is_not_this_ledgers_is_refused(ask: Ask, tmp_path: Path) -> None:
    other = start_detached(tmp_path / "other-chain", timestamp=1_700_000_000)  # type: ignore[arg-type]
    try:
        assert ask("verify", "--rpc", other.rpc_url)[0] == 5
    finally:
        stop_detached(tmp_path / "other-chain")


# tree, journal, trial balance


def test_the_claim_tree_validates_in_the_npm_package(ask: Ask, tmp_path: Path) -> None:
    code, out, err = ask("tree", "--epoch", "0")
    assert code == 0, err
    dump = json.loads(out)
    node = shutil.which("node")
    if node is None or not (REPOSITORY / "contracts/node_modules/@openzeppelin/merkle-tree").is_dir():
        pytest.skip("needs node and contracts/node_modules: npm ci in contracts/")
    peer = subprocess.run(
        [node, str(REPOSITORY / "tests/tree/standard_peer.mjs")],
        input=json.dumps([{"dump": dump}]),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (answer,) = json.loads(peer.stdout)
    assert answer.get("error") is None
    assert answer["root"] == dump["tree"][0]
    assert len(dump["values"]) == 3
    assert ask("tree", "--epoch", "0", "--out", tmp_path / "tree.json")[0] == 0
    assert json.loads((tmp_path / "tree.json").read_text()) == dump


def test_the_journal_is_read_by_chain_kind_key_and_account(ask: Ask) -> None:
    entries = json.loads(ask("journal", "-o", "json")[1])["data"]
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert [entry["kind"] for entry in entries] == ["policy", "seal", "activation"]
    assert all(len(entry["hash"]) == 66 for entry in entries)

    def seqs(*arguments: str) -> list[int]:
        return [entry["seq"] for entry in json.loads(ask("journal", *arguments, "-o", "json")[1])["data"]]

    assert seqs("--chain", "log") == [3]
    assert seqs("--kind", "seal") == [2]
    assert seqs("--key", "policy/1") == [1]
    assert seqs("--from", "2", "--to", "2") == [2]
    operator = next(line["debit"] for line in entries[2]["transfers"] if line["debit"].startswith("operator/"))
    (seal, activation) = json.loads(ask("journal", "--account", operator, "-o", "json")[1])["data"]
    assert {line["credit"] for line in seal["transfers"]} == {operator}
    assert {line["debit"] for line in activation["transfers"]} == {operator}
    assert seqs("--account", operator.rsplit("/", 1)[0] + "/") == [2, 3]
    lines = ask("journal", "-o", "csv")[1].splitlines()
    assert len(lines) == 1 + 1 + len(entries[1]["transfers"]) + len(entries[2]["transfers"])


def test_the_journal_can_be_walked(ask: Ask) -> None:
    code, _, err = ask("journal", "--verify")
    assert code == 0
    assert "seal 2, log 1" in err


def test_the_books_balance_now_and_after_every_entry(ask: Ask) -> None:
    for as_of in ([], ["--as-of", "1"], ["--as-of", "2"], ["--as-of", "3"]):
        code, out, err = ask("trial-balance", *as_of, "-o", "json")
        assert code == 0, err
        rows = json.loads(out)["data"]
        for total in (row for row in rows if row["account"].startswith("total ")):
            assert total["debits"] == total["credits"]
            accounts = [row for row in rows if row["asset"] == total["asset"] and row is not total]
            assert sum(int(row["debits"]) for row in accounts) == int(total["debits"])
    answer = json.loads(ask("trial-balance", "--as-of", "2", "-o", "json")[1])
    assert answer["standing"]["as_of_seq"] == 2 < answer["standing"]["seq"]
    assert "as of seq 2 · the books go on to epoch" in ask("trial-balance", "--as-of", "2")[2]
    rows = answer["data"]
    pending = [
        int(row["balance"]) for row in rows if row["account"].endswith("/pending") and "operator" in row["account"]
    ]
    assert sum(pending) == 895127362072000000000
    assert ask("trial-balance", "--as-of", "99")[0] == 2


def test_a_projection_that_drifted_is_found(ask: Ask, workspace: Path) -> None:
    with unguarded(workspace) as database:
        database.execute("DELETE FROM balances WHERE account = 'reserve/paid'")
    code, _, err = ask("trial-balance")
    assert code == MISMATCH
    assert "stored balances" in err
    assert ask("verify")[0] == MISMATCH


# bundles


@pytest.fixture
def bundle(ask: Ask, tmp_path: Path) -> Path:
    place = tmp_path / "epoch-0.zip"
    code, _, err = ask("export", "--epoch", "0", "--out", place)
    assert code == 0, err
    return place


def test_an_exported_epoch_verifies_alone(ask: Ask, bundle: Path) -> None:
    code, out, err = ask("verify", bundle, "-o", "json", elsewhere=True)
    assert code == 0, err
    assert {row["result"] for row in json.loads(out)["data"]} == {"passed"}


def test_a_bundle_needs_no_database_no_network_no_environment(bundle: Path, tmp_path: Path) -> None:
    """In a process with an empty environment, in an empty folder, where every socket fails."""
    program = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise OSError('no network here')\n"
        "socket.socket.connect = refuse\n"
        "from ledger.cli.edge import run\n"
        "code = run(['audit', 'verify', sys.argv[1]])\n"
        "loaded = [name for name in ('sqlalchemy', 'web3') if name in sys.modules]\n"
        "sys.exit(code or (99 if loaded else 0))\n"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{program}", str(bundle)],
        env={},
        cwd=empty,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "all" in done.stderr
    assert "FAILED" not in done.stdout
    assert list(empty.iterdir()) == []


def test_exporting_twice_gives_the_same_bytes(ask: Ask, bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    assert ask("export", "--epoch", "0", "--out", again)[0] == 0
    assert again.read_bytes() == bundle.read_bytes()
    code, _, err = ask("export", "--epoch", "0", "--out", again)
    assert code == 0
    assert "already, with these bytes" in err
    again.write_bytes(b"mine")
    code, _, err = ask("export", "--epoch", "0", "--out", again)
    assert (code, again.read_bytes()) == (7, b"mine")
    assert "export.other-file" in err
    assert sorted(place.name for place in tmp_path.glob(".*")) == []


def test_an_epoch_that_is_not_sealed_has_no_bundle(ask: Ask, tmp_path: Path) -> None:
    assert ask("export", "--epoch", "3", "--out", tmp_path / "no.zip")[0] == 3
    assert not (tmp_path / "no.zip").exists()


def test_damaged_evidence_is_not_exported(ask: Ask, workspace: Path, tmp_path: Path) -> None:
    flip(sorted((workspace / "evidence" / "batch").glob("*/*"))[0])
    assert ask("export", "--epoch", "0", "--out", tmp_path / "no.zip")[0] == MISMATCH
    assert not (tmp_path / "no.zip").exists()


def test_changing_any_byte_of_a_bundle_is_refused(ask: Ask, bundle: Path) -> None:
    content = bundle.read_bytes()
    for at in (*range(0, len(content), len(content) // 60), len(content) - 1):
        bundle.write_bytes(content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :])
        code, _, err = ask("verify", bundle, elsewhere=True)
        assert code == MISMATCH, f"byte {at}"
        assert err.startswith("bundle."), f"byte {at}: {err}"


def test_an_empty_or_foreign_file_is_no_bundle(ask: Ask, tmp_path: Path) -> None:
    place = tmp_path / "x.zip"
    for content in (b"", b"hello", b"PK\x03\x04"):
        place.write_bytes(content)
        assert ask("verify", place, elsewhere=True)[0] == MISMATCH
    assert ask("verify", tmp_path / "none.zip", elsewhere=True)[0] == 2
