"""What every proof has in common: its bytes, how it fails, and what it shows when it holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ledger.audit.bundle.error import MemberInvalidError
from ledger.audit.bundle.members import member_of
from ledger.audit.bundle.values import bytes_of, parsed, record_of
from ledger.books.posting import Chain, link
from ledger.model.errors import MismatchError
from ledger.model.header import EpochHeader
from ledger.model.units import EpochNumber, Hash32
from ledger.tree.canonical import canonical_json
from ledger.tree.commitments import header_hash

MAX_PROOF_BYTES: Final = 64 * 2**20
MAX_DEPTH: Final = 64
"""More siblings than a tree of 2⁶⁴ leaves has."""


class ProofBrokenError(MismatchError):
    """A proof does not lead where it says."""

    code: ClassVar[str] = "proof.broken"
    default_hint = "believe nothing it says, and ask for it again: ath-ledger audit prove-entry, or prove-record"


class ProofUnreadableError(MismatchError):
    """The file is no proof of this ledger."""

    code: ClassVar[str] = "proof.unreadable"
    default_hint = "ath-ledger audit check-proof --help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What holds if the chain has this header hash for this epoch."""

    what: str
    facts: Mapping[str, str | int]
    epoch: EpochNumber | None
    header_hash: Hash32 | None
    """None for an entry of the chain log: no header commits to that; its transaction is on chain itself."""


def proof_document(content: bytes) -> Mapping[str, Any]:
    """The document of a proof file; ProofUnreadableError."""
    if len(content) > MAX_PROOF_BYTES:
        raise ProofUnreadableError(f"{len(content)} bytes, at most {MAX_PROOF_BYTES}")
    try:
        document = parsed(content.removesuffix(b"\n"), "the proof")
    except MemberInvalidError as error:
        raise ProofUnreadableError(error.what) from error
    if not isinstance(document, dict) or not isinstance(document.get("format"), str):
        raise ProofUnreadableError("it has no format")
    return document


def proof_bytes(document: Mapping[str, Any]) -> bytes:
    """A proof as it is written: canonical JSON and a line feed."""
    return canonical_json(document) + b"\n"


def header_in(document: object, where: str) -> EpochHeader:
    """A header and nothing else."""
    return record_of(EpochHeader, document, where)


def siblings(document: Mapping[str, Any], name: str) -> list[bytes]:
    """A Merkle proof's hashes."""
    found = member_of(document, name, "the proof")
    if not isinstance(found, list) or len(found) > MAX_DEPTH:
        raise MemberInvalidError(f"{name} is no list of at most {MAX_DEPTH} hashes")
    return [bytes_of(each, 32, name) for each in found]


def texts(document: Mapping[str, Any], name: str) -> Sequence[str]:
    """A list of texts."""
    found = member_of(document, name, "the proof")
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise MemberInvalidError(f"{name} is no list of texts")
    return found


def require(holds: bool, broken: str) -> None:
    """Raise ProofBrokenError with what is broken unless it holds."""
    if not holds:
        raise ProofBrokenError(broken)


def walk(
    chain: Chain, number: int, head: Hash32, following: Iterable[str]
) -> list[tuple[int, Hash32, Mapping[str, Any]]]:
    """Number, hash and content of each entry that continues a head; ProofBrokenError for one that does not."""
    found = []
    for text in following:
        canonical = text.encode("utf-8")
        content = parsed(canonical, f"entry {number + 1}")
        number += 1
        told = (member_of(content, "chain", "an entry"), member_of(content, "number", "an entry"))
        require(told == (chain.value, number), f"entry {number} of the {chain} chain calls itself {told!r:.80}")
        head = link(chain, head, canonical)
        found.append((number, head, content))
    return found


def hash_of_header(header: EpochHeader) -> Hash32:
    """What the contract emits for the epoch (E5.6)."""
    return header_hash(header)
