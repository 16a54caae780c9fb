"""The header an epoch must have, derived from evidence, the chain's own decisions and the auditor's calculator.

Nothing a publisher wrote is read: no artefact, no journal, no stored total. Walked from epoch 0, because every header
hashes what came before it: each epoch's derivation is what the next one starts from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ledger.audit.calculator import recompute
from ledger.audit.comparison import Difference
from ledger.audit.epoch_record import Inheritance, SealRecord
from ledger.audit.outcome import Outcome, inheritance_of, outcome_of
from ledger.audit.verification import RULES_VERSION
from ledger.books.posting import Chain, Posting, entry_bytes, link
from ledger.books.seal_entries import policy_entry, reversal_entry
from ledger.books.verify import Head
from ledger.chain.following.epoch_history import EpochHappening, EpochHistory, Happening
from ledger.chain.following.governed import ScheduledPolicy, policies, verifier_roles
from ledger.db import corrections
from ledger.db import policies as policy_rows
from ledger.evidence.judging.acceptance import judge
from ledger.evidence.judging.frozen import FrozenEvidence
from ledger.evidence.storage.item_files import read_registration, read_revocation
from ledger.evidence.storage.store import ItemKind, stored_batch
from ledger.model.errors import NotFoundError
from ledger.model.header import EpochHeader
from ledger.model.units import ZERO_HASH, EpochNumber, Hash32, to_hex
from ledger.steps.auditing.epochs import FIRST_INHERITANCE
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen_set import frozen_set, strangers
from ledger.tree.commitments import header_hash
from ledger.tree.payout import payout_tree

_EVERYTHING = 2**62
"""No arrival is later: what came after the cut-off was refused at the door, so the index holds the frozen set."""

MAX_RETAKEN = 3
"""So many attempts of one epoch, taken back before a correction of the epoch before, are looked behind."""


class CannotDeriveError(NotFoundError):
    """Something this watcher needs to recompute an epoch is not here."""

    code = "watch.cannot-derive"
    default_hint = "give this workspace the missing evidence: ath-ledger batch submit FILE, or gov tables FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What the epochs up to one leave to the next."""

    left: Inheritance = FIRST_INHERITANCE
    seal: Head = Head()  # noqa: RUF009 - a frozen value
    """End of the seal chain."""
    policies: frozenset[int] = frozenset()
    """Versions that have their entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """One epoch as it has to be."""

    header: EpochHeader
    header_hash: Hash32
    walked: Walked
    batches: int
    """How many batches of the epoch are here."""
    faults: tuple[Difference, ...]
    """What is wrong whatever the header says: tables that move too far, rules nobody here knows."""


def derive(ledger: Ledger, history: EpochHistory, epoch: EpochNumber, before: Walked) -> Derived:
    """Derive an epoch from what the epochs before it were found to leave.

    Raises CannotDeriveError, and whatever the store and the database raise, when something is missing or damaged.
    """
    inherited = _corrected(ledger, history, epoch, before)
    frozen, scheduled = _frozen(ledger, epoch, inherited.left)
    judgement = judge(frozen)
    parent = inherited.left.parent
    result = recompute(judgement.accepted, frozen.policy, frozen.tables, parent.opening)

    def sealed_at(place: _Place) -> tuple[Outcome, Head]:
        """The epoch's header if it is sealed there, and the head it leaves; revoked attempts are passed over."""
        head, attempt = place.head, place.attempt
        while True:
            seal = SealRecord(
                number=head.number + 1,
                attempt=attempt,
                previous_hash=head.hash,
                canonical=b"",
                hash=ZERO_HASH,
                transfers=(),
            )
            outcome = outcome_of(result, judgement, frozen, parent, seal)
            head = Head(number=seal.number, hash=outcome.header.ledger_head)
            revoked = _revocation(history, epoch, outcome.header_hash)
            if revoked is None:
                return outcome, head
            head = _linked(head, _reversal(ledger, outcome, attempt, revoked))
            attempt += 1

    is_corrected = inherited is not before
    policy = None if scheduled.version in before.policies else _policy_posting(ledger, scheduled)
    possible = [sealed_at(place) for place in _places(inherited.seal, policy, is_corrected=is_corrected)]
    proposed = {each.header_hash for each in history.of(Happening.PROPOSED, epoch)}
    outcome, head = next((each for each in possible if each[0].header_hash in proposed), possible[0])
    return Derived(
        header=outcome.header,
        header_hash=outcome.header_hash,
        walked=Walked(
            left=inheritance_of(result, judgement, outcome, frozen.tables),
            seal=head,
            policies=before.policies | {scheduled.version},
        ),
        batches=len(frozen.batches),
        faults=_faults(frozen, inherited.left),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in the seal chain an epoch may be sealed, and as which attempt."""

    head: Head
    attempt: int


def _places(head: Head, policy: Posting | None, *, is_corrected: bool) -> Iterator[_Place]:
    """The one place there is; after a correction, also those behind attempts that were taken back for it.

    An epoch that was sealed on the wrong tree and never proposed left its seal and its reversal in the chain, where
    the correction's entry hashes them. Nobody outside sees how many there were; a header that fits one of the places
    fits in every other field, and its hash covers the whole chain.
    """
    yield _Place(head=head if policy is None else _linked(head, policy), attempt=1)
    if is_corrected:
        for retaken in range(1, MAX_RETAKEN + 1):
            passed = 2 * retaken + (policy is not None)
            yield _Place(head=Head(number=head.number + passed, hash=head.hash), attempt=1 + retaken)


def _frozen(ledger: Ledger, epoch: EpochNumber, left: Inheritance) -> tuple[FrozenEvidence, ScheduledPolicy]:
    """The evidence as this workspace has it; policy, roles and roles block as the chain has them."""
    settlement = ledger.settlement()
    connection, deployment, start = settlement.connection, settlement.deployment, ledger.calendar.start(epoch)
    block = connection.last_block_before(start)
    if block is None:
        raise CannotDeriveError(f"the chain has no block before epoch {epoch}")
    scheduled = policies(connection, deployment, block).policy_for_epoch(epoch)
    roles = verifier_roles(connection, deployment, block)
    with ledger.database.reading() as session:
        if not policy_rows.has_tables(session, scheduled.policy.tables_hash):
            what = f"the tables {to_hex(scheduled.policy.tables_hash)} of epoch {epoch} are not here"
            raise CannotDeriveError(what, hint="ath-ledger gov tables FILE")
        tables = policy_rows.tables(session, scheduled.policy.tables_hash)
        left_out = strangers(ledger, session, epoch, roles, last_arrival=_EVERYTHING)
        found = frozen_set(ledger, session, epoch, left_out, last_arrival=_EVERYTHING)
    uids = {kind: [item.uid for item in found if item.kind == kind] for kind in ItemKind}
    store, domain = ledger.evidence, ledger.domain
    frozen = FrozenEvidence(
        epoch=epoch,
        calendar=ledger.calendar,
        domain=domain,
        roles=roles,
        roles_block=block.number,
        roles_block_hash=block.hash,
        policy=scheduled.policy,
        tables=tables,
        registrations=[
            read_registration(store.get(ItemKind.REGISTRATION, uid), domain) for uid in uids[ItemKind.REGISTRATION]
        ],
        batches=[stored_batch(store, uid, domain) for uid in uids[ItemKind.BATCH]],
        revocations=[read_revocation(store.get(ItemKind.REVOCATION, uid), domain) for uid in uids[ItemKind.REVOCATION]],
        previous_holders=left.gpu_holders,
        used=left.used,
    )
    return frozen, scheduled


def _faults(frozen: FrozenEvidence, left: Inheritance) -> tuple[Difference, ...]:
    """What the contract cannot see (R5.5), and a rules version this calculator was not written from."""
    found = []
    steps = [] if left.parent.tables is None else list(frozen.tables.violations(left.parent.tables))
    if steps:
        found.append(Difference(where="tables · steps too large", expected="", found="; ".join(steps)))
    if frozen.tables.rules_version != RULES_VERSION:
        version = frozen.tables.rules_version
        found.append(Difference(where="tables · rules_version", expected=RULES_VERSION, found=version))
    return tuple(found)


def _corrected(ledger: Ledger, history: EpochHistory, epoch: EpochNumber, before: Walked) -> Walked:
    """After governance superseded the last epoch's tree: its header, head and leaves, which its root proves."""
    superseded = list(history.of(Happening.SUPERSEDED, EpochNumber(epoch - 1)))
    for event in superseded:
        with ledger.database.reading() as session:
            correction = corrections.find(session, event.header_hash)
        if correction is None or event.header is None:
            raise CannotDeriveError(
                f"the tree of epoch {event.epoch} was superseded; its corrected leaves are not here",
                hint="copy the database of a ledger that has booked the correction: ath-ledger db copy FILE",
            )
        leaves = dict(sorted(correction.leaves.items()))
        if payout_tree(list(leaves), list(leaves.values())).root != event.header.claim_root:
            raise CannotDeriveError(f"the corrected leaves of epoch {event.epoch} do not have the root on chain")
        parent = replace(
            before.left.parent,
            header_hash=header_hash(event.header),
            seal_hash=event.header.ledger_head,
            cumulative_wei=leaves,
        )
        seal = Head(number=before.seal.number + 1, hash=event.header.ledger_head)
        before = replace(before, left=replace(before.left, parent=parent), seal=seal)
    return before


def _policy_posting(ledger: Ledger, scheduled: ScheduledPolicy) -> Posting:
    return policy_entry(
        version=scheduled.version,
        effective_epoch=scheduled.effective_epoch,
        policy=scheduled.policy,
        policy_hash=scheduled.policy_hash,
        effective_at=ledger.calendar.start(scheduled.effective_epoch),
    )


def _revocation(history: EpochHistory, epoch: EpochNumber, header: Hash32) -> EpochHappening | None:
    return next((each for each in history.of(Happening.REVOKED, epoch) if each.header_hash == header), None)


def _reversal(ledger: Ledger, outcome: Outcome, attempt: int, revoked: EpochHappening) -> Posting:
    """The entry every ledger books when the guardian threw this header away."""
    return reversal_entry(
        epoch=outcome.header.epoch,
        attempt=attempt,
        sealed_hash=outcome.header.ledger_head,
        sealed_transfers=outcome.seal.transfers,
        reason=f"revoked on chain by transaction {to_hex(revoked.tx_hash)}",
        effective_at=ledger.settlement().connection.block(revoked.block).timestamp,
    )


def _linked(head: Head, posting: Posting) -> Head:
    number = head.number + 1
    return Head(number=number, hash=link(Chain.SEAL, head.hash, entry_bytes(posting.content(), number).canonical))
