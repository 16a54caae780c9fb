"""A signature has one form, and leads to one account."""

import pytest
from coincurve import PrivateKey
from eth_account import Account

from ledger.evidence.items.signing import KeySigner, check_signer, recover_signer
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import Address, Hash32

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRET = bytes(range(1, 33))
DIGEST = Hash32(bytes(range(32)))


def code_of(signature: bytes) -> str:
    with pytest.raises(ItemRefusedError) as refusal:
        recover_signer(DIGEST, signature)
    return refusal.value.code


def test_signing_agrees_with_eth_account_byte_for_byte() -> None:
    account = Account.from_key(SECRET)
    signer = KeySigner(SECRET)
    assert signer.address == bytes.fromhex(account.address[2:])
    assert signer.sign(DIGEST) == bytes(account.unsafe_sign_hash(DIGEST).signature)
    assert recover_signer(DIGEST, signer.sign(DIGEST)) == signer.address


def test_the_twin_of_a_signature_in_the_upper_half_is_refused() -> None:
    signature = KeySigner(SECRET).sign(DIGEST)
    twin_s = ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + twin_s.to_bytes(32, "big") + bytes([55 - signature[64]])
    assert Account._recover_hash(DIGEST, signature=twin) == Account.from_key(SECRET).address
    assert code_of(twin) == "item.signature-high-s"


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_a_v_other_than_27_or_28_is_refused(v: int) -> None:
    assert code_of(KeySigner(SECRET).sign(DIGEST)[:64] + bytes([v])) == "item.signature"


@pytest.mark.parametrize(
    "signature", [b"", bytes(64), bytes(66), bytes(64) + b"\x1b", b"\xff" * 32 + bytes(32) + b"\x1b"]
)
def test_malformed_signatures_are_refused(signature: bytes) -> None:
    assert code_of(signature) == "item.signature"


def test_somebody_elses_signature_is_refused() -> None:
    signature = KeySigner(SECRET).sign(DIGEST)
    check_signer(DIGEST, signature, KeySigner(SECRET).address)
    with pytest.raises(ItemRefusedError, match="not by"):
        check_signer(DIGEST, signature, Address(bytes(20)))


def test_a_signer_shows_its_address_and_never_its_key() -> None:
    shown = repr(KeySigner(SECRET))
    assert Account.from_key(SECRET).address in shown
    assert SECRET.hex() not in shown
    assert PrivateKey(SECRET).to_hex() not in shown
