"""Checking a proof file, whatever it proves."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ledger.audit.bundle.error import MemberInvalidError
from ledger.audit.proving.entry_proof import ENTRY_FORMAT, ENTRY_MEMBERS, check_entry
from ledger.audit.proving.extension_proof import EXTENSION_FORMAT, EXTENSION_MEMBERS, check_extension
from ledger.audit.proving.proof import ProofBrokenError, ProofUnreadableError, Proven, proof_document
from ledger.audit.proving.record_proof import RECORD_FORMAT, RECORD_MEMBERS, check_record
from ledger.model.refusals import ItemRefusedError
from ledger.model.units import Hash32, to_hex
from ledger.tree.abi import EncodingError

_KINDS: Final[Mapping[str, tuple[Callable[[Mapping[str, Any]], Proven], frozenset[str]]]] = {
    ENTRY_FORMAT: (check_entry, ENTRY_MEMBERS),
    EXTENSION_FORMAT: (check_extension, EXTENSION_MEMBERS),
    RECORD_FORMAT: (check_record, RECORD_MEMBERS),
}
"""How a proof of each format is checked, and what it consists of."""


def check_proof(content: bytes, expected_header: Hash32 | None = None) -> Proven:
    """What the proof in a file shows. `expected_header` is the hash the chain has for the epoch it leads to.

    Raises ProofUnreadableError, ProofBrokenError.
    """
    document = proof_document(content)
    if document["format"] not in _KINDS:
        raise ProofUnreadableError(f"format {document['format']!r:.80} is none of {', '.join(_KINDS)}")
    check, members = _KINDS[document["format"]]
    if smuggled := sorted(document.keys() - members):
        # somebody could read it as proved
        raise ProofUnreadableError(f"it says {smuggled[0]!r:.80} besides, which nothing proves")
    try:
        proven = check(document)
    except (MemberInvalidError, EncodingError, ItemRefusedError) as error:
        raise ProofUnreadableError(error.what) from error
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ProofUnreadableError(f"a member is not what it should be: {error!r:.160}") from error
    if expected_header is not None and proven.header_hash != expected_header:
        led = "no header" if proven.header_hash is None else to_hex(proven.header_hash)
        raise ProofBrokenError(f"it leads to {led}, expected was {to_hex(expected_header)}")
    return proven
