"""Real keystores: what `cast` has written the ledger publishes with, and an operator claims with `cast` alone."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from matrix.stage import CLAIMANTS, Outcome, Stage

from ledger.chain.local.anvil import find_anvil
from ledger.chain.sending.signer import open_keystore
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import to_hex
from ledger.rehearsal import role_key
from ledger.steps.claim import claim_of

PASSWORD = "as long as a real one, and with spaces"


@pytest.fixture
def cast() -> Path:
    binaries = sorted(find_anvil().parents[3].glob("@foundry-rs/cast-*/bin/cast"))
    if not binaries:
        pytest.skip("cast is not installed")
    return binaries[0]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "cast"
    folder.mkdir()
    (folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
    return folder


def kept_by_cast(cast: Path, keys: Path, name: str, key: bytes) -> Path:
    """A version 3 keystore as cast writes it, at its own strength."""
    command = [str(cast), "wallet", "import", name, "--keystore-dir", str(keys)]
    secret = ["--private-key", "0x" + key.hex(), "--unsafe-password", PASSWORD]
    subprocess.run([*command, *secret], check=True, capture_output=True)
    return keys / name


def test_an_epoch_is_settled_with_keystores_of_cast_and_claimed_by_cast(
    stage_with: Callable[..., Stage], undisturbed: Outcome, cast: Path, keys: Path
) -> None:
    """The publisher's key and an operator's were written by cast; the operator's claim is sent by cast itself."""
    publisher = kept_by_cast(cast, keys, "publisher", role_key("publisher"))
    operator = kept_by_cast(cast, keys, "operator", WorkedExample().operator_key(0))
    named = {"publisher_keystore": str(publisher), "publisher_password_file": str(keys / "password")}
    stage = stage_with(settings=named)
    assert stage.ledger.settlement().publisher is not None
    stage.settle()
    call = claim_of(stage.ledger, open_keystore(operator, PASSWORD).address).quote.call
    unlocked = ["--keystore", str(operator), "--password-file", str(keys / "password")]
    sent = subprocess.run(
        [str(cast), "send", *unlocked, "--rpc-url", stage.direct.rpc_url, to_hex(call.to), to_hex(call.calldata)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "status               1" in sent.stdout
    for rank in range(1, CLAIMANTS):
        stage.claim(rank)
    outcome = stage.finish()
    assert replace(outcome, sent=()) == replace(undisturbed, sent=())
    assert len(outcome.sent) == len(undisturbed.sent) - 1, "the claim that cast sent is in no outbox of ours"
    files = [file for file in stage.workspace.root.rglob("*") if file.is_file()]
    assert [file for file in files if PASSWORD.encode() in file.read_bytes()] == []
