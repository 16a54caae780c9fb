"""Signatures over digests: made with a key in memory, and turned back into the account that made them.

Only the strict form counts: 65 bytes r ‖ s ‖ v, v 27 or 28, s in the lower half of the order. Anything
looser would give one item several signatures (R3.1, E2.4).
"""

from typing import Final, Protocol

from coincurve import PrivateKey, PublicKey

from ledger.model.refusals import refused
from ledger.model.units import Address, Hash32
from ledger.tree.keccak import checksum_address, keccak256

SIGNATURE_BYTES: Final = 65
_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class DigestSigner(Protocol):
    """Whatever can sign a digest for an account: a key in memory, a keystore, a remote signer."""

    @property
    def address(self) -> Address:
        """The account that signs."""
        ...

    def sign(self, digest: Hash32) -> bytes:
        """65 bytes r ‖ s ‖ v over the digest itself."""
        ...


class KeySigner:
    """Signs with a private key held in memory; shows its address and nothing else."""

    __slots__ = ("_key", "address")

    def __init__(self, private_key: bytes) -> None:
        self._key = PrivateKey(private_key)
        self.address = _address_of(self._key.public_key)

    def __repr__(self) -> str:
        return f"KeySigner({checksum_address(self.address)})"

    def sign(self, digest: Hash32) -> bytes:
        """Deterministic (RFC 6979), low s."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])


def recover_signer(digest: Hash32, signature: bytes) -> Address:
    """The account that signed the digest.

    Refuses with `item.signature` what is malformed and `item.signature-high-s` what has a twin.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise refused("item.signature", f"a signature has 65 bytes, got {len(signature)}")
    if signature[64] not in (27, 28):
        raise refused("item.signature", f"a signature's v is 27 or 28, got {signature[64]}")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise refused("item.signature-high-s", "the signature's s is in the upper half of the curve's order")
    try:
        public_key = PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    except ValueError as error:
        raise refused("item.signature", f"no key made this signature: {error}") from error
    return _address_of(public_key)


def check_signer(digest: Hash32, signature: bytes, expected: Address) -> None:
    """Refuse unless the expected account signed the digest (R3.1)."""
    signer = recover_signer(digest, signature)
    if signer != expected:
        raise refused(
            "item.signature",
            f"signed by {checksum_address(signer)}, not by {checksum_address(expected)} in this domain",
        )


def _address_of(public_key: PublicKey) -> Address:
    return Address(keccak256(public_key.format(compressed=False)[1:])[12:])
