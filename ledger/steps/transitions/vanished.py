"""Booked facts whose block has left the chain after it was final: found, told to a person, taken back with a reason.

Only a reorganisation deeper than the finality depth does this. Until a person resumes the epoch nothing more is booked;
then every such entry is undone by an entry of its own, newest first, an epoch whose activation is gone goes back to
PROPOSED, and what the chain has now is booked anew, under the next key. Nothing is paid by any of it.
"""

from dataclasses import replace

from sqlalchemy.orm import Session

from ledger.books.log_entries import undo_entry
from ledger.books.posting import Chain, EntryKind, Posting
from ledger.books.verify import JournalEntry
from ledger.db import chain_log, epochs, journal
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError
from ledger.model.units import EpochNumber, Hash32, Timestamp, from_hex
from ledger.tree.canonical import parse_canonical

_OF_THE_CHAIN = frozenset({EntryKind.ACTIVATION, EntryKind.CLAIM, EntryKind.RETIREMENT})


class BlockVanishedError(InvariantError):
    """The books hold facts of blocks that were final and are no longer on the chain."""

    code = "books.block-vanished"
    default_hint = "ath-ledger epoch resume EPOCH --reason TEXT takes them back and books what the chain has now"


def vanished_entries(session: Session, chain_id: int) -> list[JournalEntry]:
    """The entries that stand on a block that was left, newest first; those taken back already are left out."""
    if chain_log.lowest_broken_fork(session, chain_id) is None:
        return []
    placed = [
        (entry, Hash32(from_hex(parse_canonical(entry.canonical)["body"]["at"]["blockHash"], 32)))
        for entry in journal.entries(session, chain=Chain.LOG)
        if entry.kind in _OF_THE_CHAIN
    ]
    left = chain_log.orphaned(session, chain_id, {block_hash for _, block_hash in placed})
    gone = [entry for entry, block_hash in placed if block_hash in left and not is_taken_back(session, entry.key)]
    return gone[::-1]


def require_standing(session: Session, chain_id: int) -> None:
    """Raise BlockVanishedError while the books hold what the chain has taken back."""
    gone = vanished_entries(session, chain_id)
    if gone:
        keys = ", ".join(entry.key for entry in gone[-3:][::-1])
        raise BlockVanishedError(f"{len(gone)} booked facts stand on blocks that left the chain: {keys}")


def undo_vanished(session: Session, chain_id: int, reason: str, at: Timestamp) -> int:
    """Book every one of them backwards, with a person's reason; how many there were."""
    gone = vanished_entries(session, chain_id)
    for entry in gone:
        undo = undo_entry(
            undone_key=entry.key,
            undone_hash=entry.hash,
            undone_transfers=journal.transfers(session, entry.seq),
            reason=f"its block left the chain: {reason}",
            effective_at=at,
        )
        journal.append(session, undo, recorded_at=at)
        if entry.kind is EntryKind.ACTIVATION:
            _propose_again(session, entry, reason, at)
    return len(gone)


def _propose_again(session: Session, activation: JournalEntry, reason: str, at: Timestamp) -> None:
    """FINAL → PROPOSED: as far as is known its header is in its window; whether it was activated elsewhere shows."""
    version = epochs.lock_epoch(session, EpochNumber(parse_canonical(activation.canonical)["body"]["epoch"]))
    if version.state is EpochState.FINAL:
        facts = epochs.facts(session, version.epoch, EpochState.PROPOSED)
        epochs.record_transition(session, version, EpochState.PROPOSED, facts=facts, reason=reason, recorded_at=at)


def under_free_key(session: Session, posting: Posting) -> Posting:
    """The posting under its own key, or under the next one where the entry of that key was taken back."""
    key, again = posting.key, 0
    while is_taken_back(session, key):
        again += 1
        key = f"{posting.key}/again/{again}"
    return replace(posting, key=key)


def read_from(session: Session, chain_id: int) -> int:
    """Above which block the events that may have to be booked lie.

    The block of the last booked event is read again: it may hold events a crash left out. Below a fork that broke
    finality everything is read again: what the new branch has there is new, and what is booked stays booked.
    """
    booked, fork = journal.last_booked_block(session) - 1, chain_log.lowest_broken_fork(session, chain_id)
    return booked if fork is None else min(booked, fork)


def stands(session: Session, key: str) -> bool:
    """Whether a fact is in the books and not taken back, under its key or a next one."""
    tried, again = key, 0
    while journal.find(session, tried) is not None:
        if not is_taken_back(session, tried):
            return True
        again += 1
        tried = f"{key}/again/{again}"
    return False


def is_taken_back(session: Session, key: str) -> bool:
    """Whether the entry of a key was undone."""
    return journal.find(session, f"reversal/{key}") is not None
