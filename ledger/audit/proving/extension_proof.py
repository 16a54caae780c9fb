"""Proof that the seal chain at a later epoch only continues the one at an earlier: nothing in between was rewritten."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from ledger.audit.bundle.members import member_of
from ledger.audit.bundle.values import document_of, integer
from ledger.audit.proving.proof import Proven, hash_of_header, header_in, require, texts, walk
from ledger.books.posting import Chain
from ledger.model.header import EpochHeader
from ledger.model.units import to_hex

EXTENSION_FORMAT: Final = "ath-ledger/proof/extension/1"
EXTENSION_MEMBERS: Final = frozenset({"format", "headers", "number", "entries"})


def extension_proof(headers: Sequence[EpochHeader], first_number: int, entries: Sequence[bytes]) -> dict[str, Any]:
    """Headers of consecutive epochs, corrections behind the one they correct; the first seal's number, and the
    canonical bytes after it up to the last head."""
    return {
        "format": EXTENSION_FORMAT,
        "headers": [document_of(header) for header in headers],
        "number": first_number,
        "entries": [each.decode("utf-8") for each in entries],
    }


def check_extension(document: Mapping[str, Any]) -> Proven:
    """What it shows; ProofBrokenError where a header or an entry does not continue the one before."""
    told = member_of(document, "headers", "the proof")
    require(isinstance(told, list) and len(told) > 1, "an extension has at least two headers")
    headers = [header_in(each, f"header {place}") for place, each in enumerate(told)]
    for before, after in pairwise(headers):
        if after.epoch != before.epoch + 1:
            _require_correction(before, after)
        require(after.parent_hash == hash_of_header(before), f"the header of epoch {after.epoch} names another parent")
    number = integer(member_of(document, "number", "the proof"), "number")
    reached = walk(Chain.SEAL, number, headers[0].ledger_head, texts(document, "entries"))
    hashes = [head for _, head, _ in reached]
    place = -1
    for header in headers[1:]:
        require(header.ledger_head in hashes[place + 1 :], f"no entry is the ledger head of epoch {header.epoch}")
        place = hashes.index(header.ledger_head, place + 1)
    require(place == len(hashes) - 1, "there are entries after the last head")
    first, last = headers[0], headers[-1]
    require(last.epoch > first.epoch, "it ends in the epoch it begins with")
    facts: dict[str, str | int] = {
        "from_epoch": first.epoch,
        "from_head": to_hex(first.ledger_head),
        "from_header_hash": to_hex(hash_of_header(first)),
        "to_head": to_hex(last.ledger_head),
        "entries": len(hashes),
    }
    return Proven(
        what=f"the seal chain of epoch {last.epoch} continues that of epoch {first.epoch}",
        facts=facts,
        epoch=last.epoch,
        header_hash=hash_of_header(last),
    )


def _require_correction(before: EpochHeader, after: EpochHeader) -> None:
    """A second header of one epoch corrects its tree and moves nothing (E6.8)."""
    require(after.epoch == before.epoch, f"epoch {after.epoch} does not follow epoch {before.epoch}")
    kept = (after.policy_hash, after.manifest_hash, after.rollover)
    require(
        kept == (before.policy_hash, before.manifest_hash, before.rollover)
        and not (after.payout or after.carbon or after.reserve or after.residual_micrograms),
        f"the second header of epoch {after.epoch} is no correction",
    )
