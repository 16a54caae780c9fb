"""Proof that an entry stands in the books, up to the ledger head in a header on chain (E6.3, E5.6).

A hash chain's proof is the chain itself, from the entry to the head: a few hundred bytes for each later entry.
Entries of the chain log lead to no header. They name their transaction, which the chain shows by itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ledger.audit.bundle.members import member_of
from ledger.audit.bundle.values import bytes_of, document_of, integer, parsed
from ledger.audit.proving.proof import ProofBrokenError, Proven, hash_of_header, header_in, require, texts, walk
from ledger.books.accounts import Asset, TransferCode
from ledger.books.posting import Chain
from ledger.books.transfers import Transfer, transfers_digest
from ledger.books.verify import JournalEntry
from ledger.model.header import EpochHeader
from ledger.model.units import Hash32, to_hex

ENTRY_FORMAT: Final = "ath-ledger/proof/entry/1"
ENTRY_MEMBERS: Final = frozenset(
    {"format", "chain", "number", "previousHash", "canonical", "transfers", "following", "header"}
)


def entry_proof(
    entry: JournalEntry, transfers: Sequence[Transfer], following: Sequence[bytes], header: EpochHeader | None
) -> dict[str, Any]:
    """The document; `following` are the canonical bytes up to the head, `header` is None for the chain log."""
    return {
        "format": ENTRY_FORMAT,
        "chain": entry.chain.value,
        "number": entry.number,
        "previousHash": to_hex(entry.previous_hash),
        "canonical": entry.canonical.decode("utf-8"),
        "transfers": [[each.debit, each.credit, each.asset.value, each.amount, each.code.value] for each in transfers],
        "following": [each.decode("utf-8") for each in following],
        "header": None if header is None else document_of(header),
    }


def check_entry(document: Mapping[str, Any]) -> Proven:
    """What an entry's proof shows; ProofBrokenError."""
    chain = Chain(str(member_of(document, "chain", "the proof")))
    number = integer(member_of(document, "number", "the proof"), "number")
    before = Hash32(bytes_of(member_of(document, "previousHash", "the proof"), 32, "previousHash"))
    canonical = str(member_of(document, "canonical", "the proof"))
    reached = walk(chain, number - 1, before, [canonical, *texts(document, "following")])
    content = parsed(canonical.encode("utf-8"), "canonical")
    lines = [_transfer(each) for each in member_of(document, "transfers", "the proof")]
    told = (member_of(content, "transferCount", "the entry"), member_of(content, "transfersDigest", "the entry"))
    require(told == (len(lines), to_hex(transfers_digest(lines))), "the transfers are not those the entry hashes")
    facts: dict[str, str | int] = {
        "key": str(member_of(content, "key", "the entry")),
        "kind": str(member_of(content, "kind", "the entry")),
        "entry_hash": to_hex(reached[0][1]),
        "transfers": len(lines),
    }
    head = reached[-1][1]
    header = member_of(document, "header", "the proof")
    if chain is Chain.LOG:
        require(header is None, "no header commits to the chain log")
        body = member_of(content, "body", "the entry")
        at = body.get("at") if isinstance(body, dict) else None
        facts |= {"log_head": to_hex(head)} | ({"transaction": str(at["transaction"])} if isinstance(at, dict) else {})
        return Proven(what=f"entry {number} of the chain log", facts=facts, epoch=None, header_hash=None)
    found = header_in(header, "header")
    require(head == found.ledger_head, f"the entries lead to {to_hex(head)}, the header's head is another")
    return Proven(
        what=f"entry {number} of the seal chain", facts=facts, epoch=found.epoch, header_hash=hash_of_header(found)
    )


def _transfer(line: object) -> Transfer:
    if not isinstance(line, list) or len(line) != 5:
        raise ProofBrokenError("a transfer has debit, credit, asset, amount and code")
    debit, credit, asset, amount, code = line
    return Transfer(str(debit), str(credit), integer(amount, "amount"), Asset(asset), TransferCode(code))
