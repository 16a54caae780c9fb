"""A posting: what is to be booked, before it has its place in a chain; and the bytes and hashes of an entry.

The canonical bytes of an entry are the JSON object (RFC 8785) of `version`, `chain`, `number`, `key`,
`kind`, `effectiveAt`, `body`, `transferCount`, `transfersDigest`. They are stored exactly as hashed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ledger.books.errors import PostingError
from ledger.books.transfers import Transfer, check_transfer, transfers_digest
from ledger.model.units import Hash32, Timestamp, to_hex
from ledger.tree.canonical import canonical_json

ENTRY_VERSION: Final = 1
ENTRY_PREFIX: Final = b"\x01"


class Chain(StrEnum):
    """The two hash chains; their names are hashed."""

    SEAL = "seal"
    """Policies, seals, their reversals and corrections: the same on every machine with the same evidence."""
    LOG = "log"
    """Activations, claims, retirements, differences: in the order in which they became final here."""


class EntryKind(StrEnum):
    """What an entry books."""

    POLICY = "policy"
    SEAL = "seal"
    REVERSAL = "reversal"
    CORRECTION = "correction"
    ACTIVATION = "activation"
    CLAIM = "claim"
    RETIREMENT = "retirement"
    SUSPENSE = "suspense"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One entry to be: where it belongs, its business key, and everything it says and moves.

    `body` holds what JSON holds, without floats; `effective_at` is the epoch's end or the block's time.
    Raises PostingError when a transfer breaks the chart of accounts.
    """

    chain: Chain
    key: str
    kind: EntryKind
    effective_at: Timestamp
    body: Mapping[str, Any]
    transfers: tuple[Transfer, ...] = ()

    def __post_init__(self) -> None:
        if not self.key or not self.key.isascii() or not self.key.isprintable():
            raise PostingError(f"a business key is printable ASCII, got {self.key!r}")
        for transfer in self.transfers:
            check_transfer(transfer)

    def content(self) -> dict[str, Any]:
        """Everything the entry says, without its place in the chain."""
        return {
            "version": ENTRY_VERSION,
            "chain": self.chain.value,
            "key": self.key,
            "kind": self.kind.value,
            "effectiveAt": self.effective_at,
            "body": self.body,
            "transferCount": len(self.transfers),
            "transfersDigest": to_hex(transfers_digest(self.transfers)),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBytes:
    """An entry's canonical bytes at its place in its chain, and the hash of its content alone."""

    canonical: bytes
    body_hash: Hash32


def entry_bytes(content: Mapping[str, Any], number: int) -> EntryBytes:
    """The bytes of `Posting.content()` as the chain's entry `number` (from 1)."""
    return EntryBytes(canonical=canonical_json({**content, "number": number}), body_hash=content_hash(content))


def content_hash(content: Mapping[str, Any]) -> Hash32:
    """SHA-256 of the content without its number: equal for the same posting wherever it stands."""
    return Hash32(hashlib.sha256(canonical_json(content)).digest())


def link(chain: Chain, previous_hash: Hash32, canonical: bytes) -> Hash32:
    """An entry's hash: SHA-256(0x01 ‖ chain name ‖ previous hash ‖ canonical bytes). The first previous is 0."""
    return Hash32(hashlib.sha256(ENTRY_PREFIX + chain.encode("ascii") + previous_hash + canonical).digest())
