"""Proofs of single things: they hold with no workspace, and no byte of them can be changed."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.audit.proving.checking import check_proof
from ledger.audit.proving.proof import ProofBrokenError, ProofUnreadableError, proof_bytes
from ledger.cli.edge import run
from ledger.db.engine import open_database
from ledger.db.epochs import facts
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Hash32, from_hex

USAGE, NOT_FOUND, MISMATCH = 2, 3, 4
REPOSITORY = Path(__file__).parents[2]
Answer = tuple[int, str, str]
Ask = Callable[..., Answer]


@pytest.fixture
def ask(settled_example: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def do(*arguments: str | Path, here: bool = True) -> Answer:
        capsys.readouterr()
        place = ["--workspace", str(settled_example)] if here else []
        code = run([*map(str, arguments), *place])
        return code, *capsys.readouterr()

    return do


@pytest.fixture
def header_hash(settled_example: Path) -> str:
    database = open_database(f"sqlite:///{settled_example}/ledger.sqlite", read_only=True)
    try:
        with database.reading() as session:
            return str(facts(session, EpochNumber(0), EpochState.SEALED)["headerHash"])
    finally:
        database.close()


def made(ask: Ask, *arguments: str) -> bytes:
    code, out, err = ask("audit", *arguments)
    assert code == 0, err
    return out.encode()


def batches(ask: Ask) -> dict[str, str]:
    return {row["schema"]: row["uid"] for row in json.loads(ask("batch", "list", "-o", "json")[1])["data"]}


@pytest.mark.parametrize("seq", [1, 2])
def test_an_entry_of_the_seal_chain_leads_to_the_header_on_chain(ask: Ask, header_hash: str, seq: int) -> None:
    proven = check_proof(made(ask, "prove-entry", "--seq", str(seq)), Hash32(from_hex(header_hash)))
    assert (proven.epoch, proven.facts["key"]) == (0, ["policy/1", "epoch/0/seal/1"][seq - 1])


def test_an_entry_of_the_chain_log_names_its_transaction_and_no_header(ask: Ask, header_hash: str) -> None:
    content = made(ask, "prove-entry", "--seq", "3")
    proven = check_proof(content)
    assert proven.header_hash is None
    assert str(proven.facts["transaction"]).startswith("0x")
    with pytest.raises(ProofBrokenError, match="leads to no header"):
        check_proof(content, Hash32(from_hex(header_hash)))


@pytest.mark.parametrize("schema", ["uptime", "energy", "renewable", "grid"])
def test_a_record_of_every_schema_leads_to_the_header_on_chain(ask: Ask, header_hash: str, schema: str) -> None:
    uid = batches(ask)[schema]
    proven = check_proof(made(ask, "prove-record", "--batch", uid, "--record", "0"), Hash32(from_hex(header_hash)))
    assert (proven.epoch, proven.facts["batch"]) == (0, uid)


def test_checking_needs_no_workspace_and_no_environment(ask: Ask, header_hash: str, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    assert ask("audit", "prove-entry", "--seq", "2", "--out", proof)[0] == 0
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
    script = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "audit", "check-proof", str(proof), "--header", header_hash]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "holds" in done.stderr
    assert header_hash in done.stdout


def test_another_header_is_not_what_it_leads_to(ask: Ask, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    ask("audit", "prove-entry", "--seq", "1", "--out", proof)
    code, _, err = ask("audit", "check-proof", proof, "--header", "0x" + "11" * 32, here=False)
    assert (code, "proof.broken" in err) == (MISMATCH, True)


@pytest.mark.parametrize("kind", ["entry", "record"])
def test_no_value_of_a_proof_can_be_changed(ask: Ask, header_hash: str, kind: str) -> None:
    """One character of every hash, number and text, wherever it stands; the domain and signature too."""
    uid = batches(ask)["energy"]
    content = made(
        ask, *(("prove-entry", "--seq", "1") if kind == "entry" else ("prove-record", "--batch", uid, "--record", "1"))
    )
    expected = Hash32(from_hex(header_hash))
    check_proof(content, expected)
    believed = []
    for at in range(len(content) - 1):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with contextlib.suppress(ProofBrokenError, ProofUnreadableError):
            check_proof(changed, expected)
            believed.append((at, content[max(0, at - 30) : at + 10]))
    assert believed == []


def test_a_sibling_left_out_or_a_shorter_walk_is_found(ask: Ask) -> None:
    document = json.loads(made(ask, "prove-record", "--batch", batches(ask)["uptime"], "--record", "0"))
    for name in ("recordSiblings", "evidenceSiblings"):
        with pytest.raises(ProofBrokenError):
            check_proof(proof_bytes(document | {name: document[name][:-1]}))
    entry = json.loads(made(ask, "prove-entry", "--seq", "1"))
    with pytest.raises(ProofBrokenError, match="the header's head is another"):
        check_proof(proof_bytes(entry | {"following": []}))
    with pytest.raises(ProofBrokenError, match="transfers"):
        check_proof(proof_bytes(entry | {"transfers": [["emission", "pool", "ATH", 1, "budget"]]}))


def test_a_record_of_values_that_are_none_is_no_proof(ask: Ask) -> None:
    document = json.loads(made(ask, "prove-record", "--batch", batches(ask)["uptime"], "--record", "0"))
    for value in (None, -1, [], "x"):
        with pytest.raises(ProofUnreadableError):
            check_proof(proof_bytes(document | {"record": document["record"] | {"hours": value}}))


@pytest.mark.parametrize("kind", ["entry", "record"])
def test_a_proof_says_nothing_besides_what_it_proves(ask: Ask, kind: str) -> None:
    uid = batches(ask)["grid"]
    asked = ("prove-entry", "--seq", "1") if kind == "entry" else ("prove-record", "--batch", uid, "--record", "0")
    document = json.loads(made(ask, *asked))
    with pytest.raises(ProofUnreadableError, match="'amountAth' besides, which nothing proves"):
        check_proof(proof_bytes(document | {"amountAth": "1000000"}))
    if kind == "record":
        domain = document["domain"] | {"name": "another"}
        with pytest.raises(ProofUnreadableError):
            check_proof(proof_bytes(document | {"domain": domain}))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"format":"other"}', b'{"format":1}', b"\xff", b"[" * 100_000,
     b'{"format":"ath-ledger/proof/entry/1"}', b'{"chain":"x","format":"ath-ledger/proof/entry/1"}',
     b'{"format":"ath-ledger/proof/extension/1","headers":[1,2]}',
     b'{"format":"ath-ledger/proof/record/1","schema":"uptime"}'],
)  # fmt: skip
def test_what_is_no_proof_is_refused_with_a_code(content: bytes) -> None:
    with pytest.raises((ProofUnreadableError, ProofBrokenError)):
        check_proof(content)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("prove-entry", "--seq", "99"), NOT_FOUND),
        (("prove-record", "--batch", "0x" + "00" * 32, "--record", "0"), NOT_FOUND),
        (("prove-record", "--batch", "nonsense", "--record", "0"), USAGE),
        (("prove-extension", "--from", "0", "--to", "4"), NOT_FOUND),
    ],
)
def test_what_is_not_there_cannot_be_proved(ask: Ask, arguments: tuple[str, ...], code: int) -> None:
    assert ask("audit", *arguments)[0] == code


def test_a_record_the_batch_does_not_have_cannot_be_proved(ask: Ask) -> None:
    assert ask("audit", "prove-record", "--batch", batches(ask)["grid"], "--record", "500")[0] == NOT_FOUND


@pytest.mark.parametrize(
    "command",
    [("prove-entry", "--seq", "1"), ("tree", "--epoch", "0"), ("export", "--epoch", "0")],
    ids=lambda command: command[0],
)
def test_a_file_in_a_folder_that_is_not_there_is_refused_before_any_work(
    ask: Ask, tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, _, said = ask("audit", *command, "--out", tmp_path / "nowhere" / "file")
    assert code == USAGE
    assert f"the folder {tmp_path / 'nowhere'} does not exist. Next: make it" in said
