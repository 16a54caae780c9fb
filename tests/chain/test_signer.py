"""Signers show their address and nothing else; the same transaction is always the same bytes."""

import json
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from eth_account import Account

from ledger.chain.errors import KeystoreError
from ledger.chain.local.anvil import find_anvil
from ledger.chain.sending.signer import KeySigner, NodeSigner, Transaction, open_keystore, read_password, write_keystore
from ledger.model.units import Address
from ledger.tree.keccak import keccak256

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
TRANSFER = Transaction(
    chain_id=31337,
    nonce=3,
    to=Address(b"\xbb" * 20),
    value_wei=1,
    calldata=b"\x01",
    gas=30_000,
    max_fee_per_gas_wei=2 * 10**9,
    max_priority_fee_per_gas_wei=10**9,
)


def test_a_signer_shows_only_its_address() -> None:
    signer = KeySigner(KEY)
    assert repr(signer) == "KeySigner(0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266)"
    assert KEY.hex() not in f"{signer!r}{signer!s}{vars(type(signer))}"
    with pytest.raises(KeystoreError):
        pickle.dumps(signer)


def test_the_hash_is_known_before_anything_is_sent() -> None:
    signed = KeySigner(KEY).sign(TRANSFER)
    assert signed == KeySigner(KEY).sign(TRANSFER)
    assert signed.tx_hash == keccak256(signed.raw)
    assert signed.raw[0] == 2
    assert Account.recover_transaction(signed.raw) == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def test_a_keystore_round_trips_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "publisher.json"
    address = write_keystore(file, KEY, "correct horse", light=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert open_keystore(file, "correct horse").address == address
    assert KEY.hex() not in file.read_text()


def test_an_existing_keystore_is_not_overwritten(tmp_path: Path) -> None:
    write_keystore(tmp_path / "k.json", KEY, "p", light=True)
    with pytest.raises(FileExistsError):
        write_keystore(tmp_path / "k.json", b"\x01" * 32, "p", light=True)


def test_a_wrong_password_a_missing_file_and_a_foreign_address_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "k.json"
    write_keystore(file, KEY, "right", light=True)
    with pytest.raises(KeystoreError, match="wrong password"):
        open_keystore(file, "wrong")
    with pytest.raises(KeystoreError, match="cannot be read"):
        open_keystore(tmp_path / "none.json", "right")
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"address": "00" * 20}))
    with pytest.raises(KeystoreError, match="its key is 0xf39F"):
        open_keystore(file, "right")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"crypto": {}, "version": 3}', '{"version": 1}'])
def test_what_is_no_keystore_is_refused_as_such(tmp_path: Path, text: str) -> None:
    (tmp_path / "k.json").write_text(text)
    with pytest.raises(KeystoreError, match="cannot be unlocked"):
        open_keystore(tmp_path / "k.json", "p")


def test_a_password_file_gives_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("geheim \r\nsecond\n")
    assert read_password(tmp_path / "p") == "geheim "
    with pytest.raises(KeystoreError):
        read_password(tmp_path / "nothing")


def test_casts_keystore_opens_and_cast_opens_ours(tmp_path: Path) -> None:
    binaries = sorted(find_anvil().parents[3].glob("@foundry-rs/cast-*/bin/cast"))
    if not binaries:
        pytest.skip("cast is not installed")
    (tmp_path / "p").write_text("pass")
    made = [str(binaries[0]), "wallet", "import", "theirs", "--keystore-dir", str(tmp_path)]
    secret = ["--private-key", "0x" + KEY.hex(), "--unsafe-password", "pass"]
    subprocess.run([*made, *secret], check=True, capture_output=True)
    assert open_keystore(tmp_path / "theirs", "pass").address == KeySigner(KEY).address
    write_keystore(tmp_path / "ours.json", KEY, "pass", light=True)
    reading = [str(binaries[0]), "wallet", "address", "--keystore"]
    shown = subprocess.run(
        [*reading, str(tmp_path / "ours.json"), "--password-file", str(tmp_path / "p")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.strip() == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def test_a_node_that_does_not_manage_the_account_says_so(connection) -> None:
    with pytest.raises(KeystoreError, match="does not sign for 0x0101"):
        NodeSigner(connection, Address(b"\x01" * 20)).sign(TRANSFER)


def test_no_import_lifts_pythons_bound_on_recursion() -> None:
    """Lifted, nested JSON that anybody sends would end the process."""
    program = (
        "import json, sys\n"
        "from ledger.chain.sending.signer import KeySigner\n"
        "from ledger.chain.node.transport import _provider\n"
        "KeySigner(bytes(31) + b'1'); _provider('http://127.0.0.1:9')\n"
        "try:\n"
        "    json.loads('[' * 200_000)\n"
        "except RecursionError:\n"
        "    print(sys.getrecursionlimit())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "1000\n"), ran.stderr
