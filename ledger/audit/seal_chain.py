"""The entries of the seal chain between one epoch's seal and the next one's: policies, reversals, seals.

The seal names the entry before it only by a hash, so whoever holds an epoch alone cannot see a policy that was
slipped in, left out or altered. Here the whole stretch is walked.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ledger.audit.comparison import Difference, first_difference_of_documents
from ledger.audit.report import Check
from ledger.books.errors import JournalBrokenError, PostingError
from ledger.books.posting import Chain, EntryKind, content_hash, entry_bytes
from ledger.books.seal_entries import policy_entry
from ledger.books.transfers import Transfer
from ledger.books.verify import Head, JournalEntry, Walk
from ledger.evidence.judging.frozen import FrozenEvidence
from ledger.model.units import EpochNumber, Hash32, Seq, Timestamp
from ledger.tree.abi import EncodingError
from ledger.tree.canonical import integer_of, parse_canonical
from ledger.tree.commitments import policy_hash


class ChainedEntry(NamedTuple):
    """An entry of the seal chain as stored; everything it says stands in its canonical bytes."""

    previous_hash: Hash32
    canonical: bytes
    hash: Hash32
    transfers: tuple[Transfer, ...]


def checks_of_chain(
    entries: Sequence[ChainedEntry], before: Head, seal_hash: Hash32, frozen: FrozenEvidence, policy_before: Hash32
) -> Iterator[Check]:
    """Whether the entries lead from the head before to the seal, and book the epoch's policy where it is new.

    `policy_before` is the policy hash of the epoch before; zero for the first epoch.
    """
    yield check_of_links("seal.chain", "E6.1", entries, before, seal_hash)
    yield Check(name="policy.entry", rule="E6.1", difference=_policy_fault(entries, frozen, policy_before))


def check_of_links(name: str, rule: str, entries: Sequence[ChainedEntry], before: Head, last: Hash32) -> Check:
    """Whether each entry continues the one before it, from the head before to the entry with hash `last`."""
    return Check(name=name, rule=rule, difference=_first_break(entries, before, last))


def _first_break(entries: Sequence[ChainedEntry], before: Head, seal_hash: Hash32) -> Difference | None:
    # the chain log's entries are not here, so positions over both chains are counted anew
    walk = Walk(seq=0, heads={Chain.SEAL: before, Chain.LOG: Head()})
    for place, entry in enumerate(entries, start=1):
        try:
            walk.step(_journal_entry(entry, Seq(place)), entry.transfers)
        except (JournalBrokenError, PostingError, EncodingError) as error:
            return Difference(where=f"seal chain · entry {before.number + place}", expected="linked", found=error.what)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            where = f"seal chain · entry {before.number + place}"
            return Difference(where=where, expected="an entry", found=repr(error)[:200])
    reached = walk.heads[Chain.SEAL].hash
    if reached != seal_hash:
        return Difference(where="seal chain · end", expected=f"0x{seal_hash.hex()}", found=f"0x{reached.hex()}")
    return None


def _journal_entry(entry: ChainedEntry, seq: Seq) -> JournalEntry:
    content = parse_canonical(entry.canonical)
    number = integer_of(content.pop("number"))
    return JournalEntry(
        seq=seq,
        chain=Chain(content["chain"]),
        number=number,
        key=content["key"],
        kind=EntryKind(content["kind"]),
        effective_at=Timestamp(integer_of(content["effectiveAt"])),
        canonical=entry.canonical,
        body_hash=content_hash(content),
        previous_hash=entry.previous_hash,
        hash=entry.hash,
        transfer_count=integer_of(content["transferCount"]),
    )


def _policy_fault(entries: Sequence[ChainedEntry], frozen: FrozenEvidence, policy_before: Hash32) -> Difference | None:
    """A policy's entry says the policy the epoch was computed with; a changed policy has one."""
    booked = [entry for entry in entries if _document(entry).get("kind") == EntryKind.POLICY]
    ours = policy_hash(frozen.policy)
    if not booked and ours != policy_before:
        return Difference(where="policy entry", expected=f"of policy 0x{ours.hex()}", found="absent")
    for entry in booked:
        try:
            document = _document(entry)
            body: Any = document["body"]
            version, effective = integer_of(body["version"]), EpochNumber(integer_of(body["effectiveEpoch"]))
            expected = policy_entry(
                version=version,
                effective_epoch=effective,
                policy=frozen.policy,
                policy_hash=ours,
                effective_at=frozen.calendar.start(effective),
            )
            wanted = entry_bytes(expected.content(), integer_of(document["number"])).canonical
        except (KeyError, TypeError, ValueError, EncodingError, PostingError) as error:
            return Difference(where="policy entry", expected="a policy's entry", found=repr(error)[:200])
        if effective > frozen.epoch:
            return Difference(where="policy entry", expected=f"at most epoch {frozen.epoch}", found=str(effective))
        difference = first_difference_of_documents("policy entry", wanted, entry.canonical)
        if difference is not None:
            return difference
    return None


def _document(entry: ChainedEntry) -> dict[str, Any]:
    try:
        document = parse_canonical(entry.canonical)
    except (EncodingError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
