"""Walking a journal from its first entry and naming the first one that is not what was hashed.

Needs no database: whoever holds the entries (a bundle, an export, a backup) can do it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Final, NamedTuple

from ledger.books.errors import JournalBrokenError, PostingError
from ledger.books.posting import ENTRY_VERSION, Chain, EntryKind, content_hash, link
from ledger.books.transfers import Transfer, check_transfer, transfers_digest
from ledger.model.units import ZERO_HASH, Hash32, Seq, Timestamp, to_hex
from ledger.tree.abi import EncodingError
from ledger.tree.canonical import MAX_BARE_INTEGER, check_canonical, parse_canonical

KEY_TWICE: Final = "its business key is booked already"
_BODY: Final = b'{"body":'


class JournalEntry(NamedTuple):
    """An entry as it is stored: its two places, its content, its bytes and hashes.

    A named tuple, not a dataclass: a walk makes a million of them.
    """

    seq: Seq
    """Position over both chains, from 1; local, not hashed."""
    chain: Chain
    number: int
    """Position in its chain, from 1; hashed."""
    key: str
    kind: EntryKind
    effective_at: Timestamp
    canonical: bytes
    body_hash: Hash32
    previous_hash: Hash32
    hash: Hash32
    transfer_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of one chain: how many entries it has and the last one's hash (0 when empty)."""

    number: int = 0
    hash: Hash32 = ZERO_HASH


@dataclass(slots=True)
class Walk:
    """The state of a verification: the heads reached so far and the keys seen."""

    seq: int = 0
    heads: dict[Chain, Head] = field(default_factory=lambda: dict.fromkeys(Chain, Head()))
    keys: set[str] | None = field(default_factory=set)
    """None: whoever hands the entries over makes sure himself that no key comes twice, in constant memory."""

    def step(self, entry: JournalEntry, transfers: Iterable[Transfer]) -> None:
        """Check the next entry with its transfers in line order; raises JournalBrokenError with its seq."""
        if entry.seq != self.seq + 1:
            raise JournalBrokenError(self.seq + 1, f"it is missing or out of order: seq {entry.seq} follows {self.seq}")
        fault = self._fault(entry, tuple(transfers))
        if fault is not None:
            raise JournalBrokenError(entry.seq, f"({entry.chain} {entry.number}, {entry.key}) {fault}")
        self.seq = entry.seq
        if self.keys is not None:
            self.keys.add(entry.key)
        self.heads[entry.chain] = Head(number=entry.number, hash=entry.hash)

    def _fault(self, entry: JournalEntry, transfers: tuple[Transfer, ...]) -> str | None:
        head = self.heads[entry.chain]
        if entry.number != head.number + 1:
            return f"it follows number {head.number} of its chain"
        if entry.previous_hash != head.hash:
            return f"its previous hash is {to_hex(entry.previous_hash)}, the chain stood at {to_hex(head.hash)}"
        if entry.hash != link(entry.chain, entry.previous_hash, entry.canonical):
            return "its hash is not the hash of its bytes"
        if self.keys is not None and entry.key in self.keys:
            return KEY_TWICE
        return _content_fault(entry, transfers)


def verify_journal(
    entries: Iterable[tuple[JournalEntry, Iterable[Transfer]]],
    *,
    expected: Mapping[Chain, Head] | None = None,
    keys_differ: bool = False,
) -> dict[Chain, Head]:
    """Walk the whole journal in order of seq and return both heads.

    `expected` are heads known from outside (the header on chain): a chain that does not contain such a
    head was truncated or rewritten. With `keys_differ` the caller vouches that no business key comes twice, and the
    walk remembers none: its memory does not grow. Raises JournalBrokenError naming the first bad seq.
    """
    walk, reached = Walk(keys=None if keys_differ else set()), set[Chain]()
    wanted = dict(expected or {})
    for entry, transfers in entries:
        walk.step(entry, transfers)
        head = wanted.get(entry.chain)
        if head is not None and entry.number == head.number:
            if entry.hash != head.hash:
                raise JournalBrokenError(
                    entry.seq,
                    f"({entry.chain} {entry.number}, {entry.key}) its hash is {to_hex(entry.hash)},"
                    f" known from outside is {to_hex(head.hash)}",
                )
            reached.add(entry.chain)
    for chain, head in wanted.items():
        if head.number and chain not in reached:
            raise JournalBrokenError(
                walk.seq + 1,
                f"it is missing: the {chain} chain ends at number {walk.heads[chain].number},"
                f" known from outside is number {head.number}",
            )
    return walk.heads


def _content_fault(entry: JournalEntry, transfers: tuple[Transfer, ...]) -> str | None:
    """What the entry's columns and transfers say otherwise than its bytes."""
    if not _says_what_is_stored(entry, transfers):
        fault = _named_difference(entry, transfers)
        if fault is not None:
            return fault
    if len(transfers) != entry.transfer_count:
        return f"it has {len(transfers)} transfers, not {entry.transfer_count}"
    return _transfer_fault(transfers)


def _says_what_is_stored(entry: JournalEntry, transfers: tuple[Transfer, ...]) -> bool:
    """Whether the bytes are, member for member, the canonical ones of what is stored; False says nothing yet.

    The members after the body are written anew and compared as bytes, so that only the body is ever parsed.
    """
    if abs(entry.effective_at) > MAX_BARE_INTEGER:
        return False
    try:
        place = f'"number":{entry.number},'.encode("ascii")
        before = (
            f',"chain":"{entry.chain}","effectiveAt":{entry.effective_at},"key":{encode_basestring(entry.key)},'
            f'"kind":"{entry.kind}",'
        ).encode()
        after = (
            f'"transferCount":{entry.transfer_count},"transfersDigest":"0x{transfers_digest(transfers).hex()}",'
            f'"version":{ENTRY_VERSION}}}'
        ).encode("ascii")
        told, canonical = before + place + after, entry.canonical
        if not (canonical.startswith(_BODY) and canonical.endswith(told)):
            return False
        body = canonical[len(_BODY) : -len(told)]
        check_canonical(body)
    except (EncodingError, UnicodeEncodeError):
        return False
    return hashlib.sha256(_BODY + body + before + after).digest() == entry.body_hash


def _named_difference(entry: JournalEntry, transfers: tuple[Transfer, ...]) -> str | None:
    """The first member of the bytes that is not what is stored, in words."""
    try:
        content = parse_canonical(entry.canonical)
        number = content.pop("number")
        told = {
            "version": ENTRY_VERSION,
            "chain": entry.chain.value,
            "key": entry.key,
            "kind": entry.kind.value,
            "effectiveAt": entry.effective_at,
            "transferCount": entry.transfer_count,
            "transfersDigest": to_hex(transfers_digest(transfers)),
        }
        found = {name: content[name] for name in told}
    except (EncodingError, KeyError, AttributeError, UnicodeEncodeError) as error:
        return f"its bytes cannot be read: {error}"
    if number != entry.number:
        return f"its bytes say number {number}"
    for name, value in told.items():
        if found[name] != value:
            return f"its bytes say {name} {found[name]!r}, stored is {value!r}"
    if content_hash(content) != entry.body_hash:
        return "its body hash is not the hash of its content"
    return None


def _transfer_fault(transfers: tuple[Transfer, ...]) -> str | None:
    try:
        for transfer in transfers:
            check_transfer(transfer)
    except PostingError as error:
        return error.what
    return None
