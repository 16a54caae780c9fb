"""Who signs: a keystore, a key in memory (tests and demo), or an account the node manages.

A signer shows its address and nothing else, in its repr too. Only type-2 transactions are made: a legacy
one for the wrong chain is accepted by some nodes and never mined.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ledger.chain.errors import KeystoreError, RpcError
from ledger.chain.node.connection import Connection
from ledger.model.durable import OWNER_ONLY, create_whole
from ledger.model.recursion import recursion_bound
from ledger.model.units import Address, Hash32, from_hex, to_hex
from ledger.tree.keccak import checksum_address, keccak256


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A type-2 transaction before it is signed; `to` None creates a contract."""

    chain_id: int
    nonce: int
    to: Address | None
    value_wei: int
    calldata: bytes
    gas: int
    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransaction:
    """The bytes to broadcast and their hash, known before anything is sent."""

    raw: bytes
    tx_hash: Hash32


class Signer(Protocol):
    """Signs transactions for one address."""

    @property
    def address(self) -> Address:
        """The account that signs."""
        ...

    def sign(self, transaction: Transaction) -> SignedTransaction:
        """Sign without sending."""
        ...


class KeySigner:
    """Signs with a private key held in memory."""

    __slots__ = ("_account",)

    def __init__(self, key: bytes) -> None:
        with recursion_bound():
            from eth_account import Account

        self._account = Account.from_key(key)

    @property
    def address(self) -> Address:
        """The key's address."""
        return Address(from_hex(self._account.address.lower(), 20))

    def sign(self, transaction: Transaction) -> SignedTransaction:
        """Sign without sending; the same transaction always gives the same bytes (RFC 6979)."""
        signed = self._account.sign_transaction(_fields(transaction))
        raw = bytes(signed.raw_transaction)
        return SignedTransaction(raw=raw, tx_hash=keccak256(raw))

    def sign_digest(self, digest: Hash32) -> bytes:
        """65 bytes r ‖ s ‖ v over the digest itself, deterministic, low s: signatures of evidence and typed data."""
        return bytes(self._account.unsafe_sign_hash(digest).signature)

    def __repr__(self) -> str:
        return f"KeySigner({checksum_address(self.address)})"

    def __reduce__(self) -> Any:
        raise KeystoreError("a signer is not to be copied or stored", hint="open the keystore where you sign")


class NodeSigner:
    """Lets the node sign with an account it manages (`--from`); the signed bytes come back before they are sent."""

    __slots__ = ("_address", "_connection")

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._address = address

    @property
    def address(self) -> Address:
        """The managed account."""
        return self._address

    def sign(self, transaction: Transaction) -> SignedTransaction:
        """Ask the node for a signature. KeystoreError when it does not manage the account."""
        fields = {
            "from": to_hex(self._address),
            **{name: hex(value) if isinstance(value, int) else value for name, value in _fields(transaction).items()},
        }
        try:
            answer = self._connection.rpc("eth_signTransaction", fields)
        except RpcError as error:
            raise KeystoreError(
                f"the node does not sign for {checksum_address(self._address)}: {error.message}",
                hint="use --keystore, or a node that manages this account",
            ) from error
        raw = from_hex(answer if isinstance(answer, str) else answer["raw"])
        return SignedTransaction(raw=raw, tx_hash=keccak256(raw))

    def __repr__(self) -> str:
        return f"NodeSigner({checksum_address(self._address)})"


def open_keystore(keystore: Path, password: str) -> KeySigner:
    """Unlock a version 3 keystore, as `cast`, geth and eth-account write it.

    The address is the key's own; a different `address` in the file is refused. Raises KeystoreError.
    """
    with recursion_bound():
        from eth_account import Account
        from eth_keyfile.exceptions import EthKeyfileException

    try:
        document = json.loads(keystore.read_text(encoding="utf-8"))
        key = Account.decrypt(document, password)
    except OSError as error:
        raise KeystoreError(f"{keystore} cannot be read: {error.strerror}") from error
    except (EthKeyfileException, ValueError, KeyError, TypeError) as error:
        raise KeystoreError(f"{keystore} cannot be unlocked: wrong password, or no version 3 keystore") from error
    signer = KeySigner(bytes(key))
    stated = str(document.get("address") or "").removeprefix("0x").lower()
    if stated and stated != signer.address.hex():
        raise KeystoreError(f"{keystore} says address 0x{stated}, its key is {checksum_address(signer.address)}")
    return signer


def read_password(password_file: Path) -> str:
    """The first line of a password file. Raises KeystoreError."""
    try:
        return password_file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise KeystoreError(f"the password file {password_file} cannot be read") from error


def write_keystore(keystore: Path, key: bytes, password: str, *, light: bool = False) -> Address:
    """Write a version 3 keystore, readable by its owner alone; the address it holds. FileExistsError keeps an old one.

    `light` weakens the key derivation (scrypt n = 2¹²) so that a demo unlocks at once: never for real keys.
    """
    with recursion_bound():
        from eth_account import Account

    document: Mapping[str, Any] = Account.encrypt(key, password, iterations=2**12 if light else None)
    keystore.parent.mkdir(parents=True, exist_ok=True)
    create_whole(keystore, json.dumps(document) + "\n", mode=OWNER_ONLY)
    return KeySigner(key).address


def _fields(transaction: Transaction) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "value": transaction.value_wei,
        "data": to_hex(transaction.calldata),
        "gas": transaction.gas,
        "maxFeePerGas": transaction.max_fee_per_gas_wei,
        "maxPriorityFeePerGas": transaction.max_priority_fee_per_gas_wei,
    }
    if transaction.to is not None:
        fields["to"] = checksum_address(transaction.to)
    return fields
