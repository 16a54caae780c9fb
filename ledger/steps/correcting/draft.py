"""Preparing a correction: the entry that will book it, the header that names the entry, and what stands in its way.

The header contains the hash of an entry that is booked only when the chain has done it. So the seal chain must not
grow in between: while claims are paused no epoch is sealed, and one that was sealed on the wrong tree is taken back
before the correction is announced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ledger.books.posting import Chain, Posting, entry_bytes, link
from ledger.books.seal_entries import reversal_entry, seal_key, supersede_entry
from ledger.books.verify import Head
from ledger.chain.node.connection import Block
from ledger.db import corrections, epochs, journal, outbox
from ledger.db.corrections import StoredCorrection
from ledger.db.epochs import EpochStanding
from ledger.db.outbox_entry import OutboxState
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError, RefusedError
from ledger.model.header import EpochHeader
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Wei, to_hex
from ledger.steps.correcting.leaves import Leaves, NothingCorrectedError, require_payable
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_document, header_of, standing_header, tree_of
from ledger.steps.settlement import Settlement
from ledger.steps.transitions.propose import proposal_key
from ledger.steps.transitions.revoked import freeze_again
from ledger.tree.commitments import header_hash
from ledger.tree.payout import payout_tree

_UNSENT = frozenset({OutboxState.PLANNED, OutboxState.SIGNED, OutboxState.BROADCAST})


class NotPausedError(RefusedError):
    """Claims go on, so the wrong tree is still being paid."""

    code = "correction.not-paused"
    default_hint = "the guardian stops claims first: ath-ledger gov pause --broadcast"


class EpochInWindowError(RefusedError):
    """A proposed epoch stands on the header that is to be corrected."""

    code = "correction.epoch-pending"
    default_hint = "the guardian throws it away first: ath-ledger gov revoke-epoch --broadcast"


class BooksBehindError(RefusedError):
    """The chain's last header is not the one the books end with."""

    code = "correction.books-behind"
    default_hint = "ath-ledger run --until-idle, then this command again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A correction ready to be announced."""

    header: EpochHeader
    posting: Posting
    stored: StoredCorrection
    changes_wei: dict[Address, int]
    """What each operator's cumulative amount gains or loses; nobody who keeps what it has."""
    retakes: tuple[EpochStanding, ...]
    """Epochs sealed on the wrong tree, which are taken back and sealed again."""
    is_on_chain: bool
    """Whether the contract has it already."""


def standing_epoch(ledger: Ledger) -> tuple[EpochNumber, dict[Address, Wei]]:
    """The last final epoch and the leaves of its claim tree, as they stand."""
    with ledger.database.reading() as session:
        epoch = epochs.last_final(session)
        tree = tree_of(ledger, session, epoch)
    rows = (tree.value_at(index) for index in range(len(tree)))
    return epoch, {Address(bytes(account)): Wei(int(wei)) for account, wei in rows}


def prepare(ledger: Ledger, leaves: Leaves, reason: str) -> Correction:
    """The correction that gives the last final epoch these leaves. Nothing is written.

    Raises NotPausedError, EpochInWindowError, BooksBehindError, NothingCorrectedError and what `require_payable`
    raises: all that the contract would refuse, and what it cannot see.
    """
    settlement = ledger.settlement()
    at = settlement.connection.head()
    epoch, before = standing_epoch(ledger)
    wanted = {account: wei for account, wei in leaves.items() if wei}
    with ledger.database.reading() as session:
        made = _correction(ledger, session, epoch, before, wanted, reason)
        parent = header_hash(standing_header(session, epoch))
        paid_in = sum(header_of(session, EpochNumber(each)).payout for each in range(epoch + 1))
        kept = corrections.booked(session, epoch)
    last = settlement.rewards_ledger.last_header_hash(at.hash)
    if last == made.stored.header_hash:
        return _as_on_chain(made)
    if kept is not None and last == kept.header_hash and kept.leaves == wanted:
        raise NothingCorrectedError("this correction is on chain and in the books already")
    if not made.changes_wei:
        raise NothingCorrectedError(f"the corrected tree is the one that stands for epoch {epoch}")
    _require_open(settlement, at, parent, last)
    accounts = sorted(before.keys() | wanted.keys())
    found = settlement.rewards_ledger.accounts_of(accounts, at.hash)
    claimed = {account: each.claimed_wei for account, each in zip(accounts, found, strict=True)}
    require_payable(wanted, claimed, paid_in)
    return made


def keep(ledger: Ledger, made: Correction) -> None:
    """Keep a prepared correction, and take back what was sealed on the wrong tree, in one transaction."""
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        for retaken in made.retakes:
            version = epochs.lock_epoch(session, retaken.epoch)
            journal.append(session, _reversal(ledger, session, version, made.stored), recorded_at=now)
            if version.state is EpochState.PROPOSED:
                key = proposal_key(version.epoch, version.attempt)
                if outbox.entry(session, key).state in _UNSENT:
                    outbox.withdraw(session, key, f"epoch {made.stored.epoch} is corrected", now)
            facts = {"correction": to_hex(made.stored.header_hash)}
            version = epochs.record_transition(session, version, EpochState.REVOKED, facts=facts, recorded_at=now)
            freeze_again(ledger, session, version, now)
        corrections.record(session, made.stored, recorded_at=now)


def posting_of(ledger: Ledger, session: Session, correction: StoredCorrection, before: Leaves) -> Posting:
    """The entry that books a kept correction, given the leaves that stood before it."""
    root = payout_tree(list(correction.leaves), list(correction.leaves.values())).root
    return supersede_entry(
        epoch=correction.epoch,
        correction=correction.number,
        claim_root=root,
        parent_header=header_hash(standing_header(session, correction.epoch)),
        changes_wei=_changes(before, correction.leaves),
        reason=correction.reason,
        effective_at=ledger.calendar.end(correction.epoch),
    )


def _correction(
    ledger: Ledger, session: Session, epoch: EpochNumber, before: Leaves, leaves: Leaves, reason: str
) -> Correction:
    parent = standing_header(session, epoch)
    number = corrections.booked_count(session, epoch) + 1
    unsealed = StoredCorrection(
        epoch=epoch, number=number, header_hash=Hash32(b""), ledger_head=Hash32(b""), header={}, leaves=leaves,
        reason=reason,
    )  # fmt: skip
    posting = posting_of(ledger, session, unsealed, before)
    retakes = _retakes(session, epoch)
    postings = [*(_reversal(ledger, session, each, unsealed) for each in retakes), posting]
    head = _head_after(journal.head(session, Chain.SEAL), postings)
    header = EpochHeader(
        epoch=epoch,
        claim_root=payout_tree(list(leaves), list(leaves.values())).root,
        ledger_head=head.hash,
        policy_hash=parent.policy_hash,
        manifest_hash=parent.manifest_hash,
        parent_hash=header_hash(parent),
        payout=Wei(0),
        carbon=Wei(0),
        reserve=Wei(0),
        rollover=parent.rollover,
        residual_micrograms=MicrogramsCo2e(0),
    )
    stored = StoredCorrection(
        epoch=epoch, number=number, header_hash=header_hash(header), ledger_head=head.hash,
        header=header_document(header), leaves=leaves, reason=reason,
    )  # fmt: skip
    return Correction(
        header=header, posting=posting, stored=stored, changes_wei=_changes(before, leaves), retakes=retakes,
        is_on_chain=False,
    )  # fmt: skip


def _as_on_chain(made: Correction) -> Correction:
    return Correction(
        header=made.header, posting=made.posting, stored=made.stored, changes_wei=made.changes_wei,
        retakes=made.retakes, is_on_chain=True,
    )  # fmt: skip


def _require_open(settlement: Settlement, at: Block, parent: Hash32, last: Hash32) -> None:
    contract = settlement.rewards_ledger
    if last != parent:
        raise BooksBehindError(
            f"the chain's last header at block {at.number} is {to_hex(last)}, the books end with {to_hex(parent)}"
        )
    if not contract.is_paused(at.hash):
        raise NotPausedError(f"claims are not paused at block {at.number}")
    pending = contract.pending(at.hash)
    if pending is not None:
        raise EpochInWindowError(f"the header {to_hex(pending.header_hash)} is in its window")


def _retakes(session: Session, epoch: EpochNumber) -> tuple[EpochStanding, ...]:
    """The epochs after it that are sealed, the last one first, as reversals go."""
    sealed = {EpochState.SEALED, EpochState.PROPOSED}
    later = [each for each in epochs.all_standings(session) if each.epoch > epoch and each.state in sealed]
    return tuple(reversed(later))


def _reversal(ledger: Ledger, session: Session, sealed: EpochStanding, correction: StoredCorrection) -> Posting:
    seal = journal.find(session, seal_key(sealed.epoch, sealed.attempt))
    if seal is None:
        raise InvariantError(f"epoch {sealed.epoch} is {sealed.state} without a seal in the journal")
    return reversal_entry(
        epoch=sealed.epoch,
        attempt=sealed.attempt,
        sealed_hash=seal.hash,
        sealed_transfers=journal.transfers(session, seal.seq),
        reason=f"epoch {correction.epoch} is corrected: {correction.reason}",
        effective_at=ledger.calendar.end(sealed.epoch),
    )


def _head_after(head: Head, postings: Sequence[Posting]) -> Head:
    """Where the seal chain will stand once these are booked."""
    for posting in postings:
        number = head.number + 1
        canonical = entry_bytes(posting.content(), number).canonical
        head = Head(number=number, hash=link(posting.chain, head.hash, canonical))
    return head


def _changes(before: Leaves, after: Leaves) -> dict[Address, int]:
    changes = {
        account: after.get(account, 0) - before.get(account, 0) for account in sorted(before.keys() | after.keys())
    }
    return {account: change for account, change in changes.items() if change}
