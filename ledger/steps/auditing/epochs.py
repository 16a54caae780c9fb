"""Handing an epoch to the auditor: its record out of the workspace, and the walk over all epochs before it.

Nothing is taken from the ledger that the auditor can compute: what one epoch leaves to the next is passed on as it
was recomputed, so a certificate used twice or a GPU that changed hands is seen although the ledger's own registers
were altered to match.
"""

import io
from collections.abc import Iterator
from dataclasses import replace

import polars as pl
from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference
from ledger.audit.corrections import check_of_chain, corrected
from ledger.audit.details.rows import DETAIL_KINDS
from ledger.audit.details.stored import stored_rows
from ledger.audit.epoch_record import EpochRecord, Inheritance, ParentEpoch, SealRecord
from ledger.audit.report import Check, Report
from ledger.audit.seal_chain import ChainedEntry, check_of_links, checks_of_chain
from ledger.audit.statement_file import stored_statements
from ledger.audit.verification import verify_epoch
from ledger.books.posting import Chain
from ledger.books.seal_entries import seal_key
from ledger.books.verify import Head, JournalEntry
from ledger.db import corrections, epochs, journal
from ledger.db import policies as policy_rows
from ledger.evidence.judging.roles import RoleBook
from ledger.evidence.judging.used_ranges import UsedRegister
from ledger.model.epoch import SEALED_STATES, EpochState
from ledger.model.errors import LedgerError, MismatchError, NotFoundError
from ledger.model.policy import Tables
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32, NodeId, Wei, from_hex, to_hex
from ledger.steps.auditing.chain import ChainWitness
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen import load_frozen
from ledger.steps.recorded.frozen_set import strangers
from ledger.steps.recorded.sealed import header_of, tree_of
from ledger.steps.recorded.totals import opening_of, totals_of
from ledger.steps.transitions.seal import manifest_of
from ledger.tree.commitments import header_hash
from ledger.tree.standard import StandardTree

FIRST_INHERITANCE = Inheritance(parent=ParentEpoch(), used=UsedRegister.empty(), gpu_holders={})
"""What the first epoch starts from."""


class NotSealedError(NotFoundError):
    """The epoch has no result yet that could be checked."""

    code = "verify.not-sealed"


def last_sealed(ledger: Ledger) -> EpochNumber:
    """The last epoch that can be verified. NotSealedError when there is none."""
    with ledger.database.reading() as session:
        sealed = [each.epoch for each in epochs.all_standings(session) if each.state in SEALED_STATES]
    if not sealed:
        raise NotSealedError("no epoch has been sealed yet")
    return max(sealed)


def require_sealed(ledger: Ledger, epoch: EpochNumber) -> None:
    """Raise NotSealedError unless the epoch has a result."""
    with ledger.database.reading() as session:
        standing = epochs.standings_between(session, epoch, epoch).get(epoch)
    if standing is None:
        raise NotSealedError(f"epoch {epoch} has no result: this ledger has not come to it yet")
    if standing.state not in SEALED_STATES:
        raise NotSealedError(f"epoch {epoch} is {standing.state}, not sealed")


def verified_epochs(
    ledger: Ledger, last: EpochNumber, *, only: bool = False, witness: ChainWitness | None = None
) -> Iterator[Report]:
    """Verify the epochs 0 … `last`, each with what the auditor found the one before to leave.

    `only`: verify `last` alone, against what the ledger recorded that the epoch before left. `witness` is the
    chain, if it is asked. Ends with the first epoch that does not verify: whatever follows cannot be right either.
    """
    left: Inheritance | None = None if only else FIRST_INHERITANCE
    for number in range(last if only else 0, last + 1):
        report = verified_epoch(ledger, EpochNumber(number), left, witness)
        yield report
        if not report.passed:
            return
        left = report.inheritance


def verified_epoch(
    ledger: Ledger, epoch: EpochNumber, left: Inheritance | None, witness: ChainWitness | None = None
) -> Report:
    """One epoch's report. What cannot even be put together is a failed check that says what and why."""
    with ledger.database.reading() as session:
        try:
            record = epoch_record(ledger, session, epoch, left)
            entries, head = entries_of(session, epoch)
            after = entries_after(session, epoch)
            paid_in = sum(header_of(session, EpochNumber(each)).payout for each in range(epoch + 1))
            stored = list(_stored_leftovers(ledger, session, epoch))
            state = epochs.state_of(session, epoch)
            shut_out = _strangers_check(ledger, session, epoch, record.evidence.roles)
            before = None if epoch == 0 else header_of(session, EpochNumber(epoch - 1))
        except (LedgerError, KeyError, TypeError, ValueError) as error:
            what = error.what if isinstance(error, LedgerError) else repr(error)
            found = Difference(where=f"epoch {epoch}", expected="a readable record", found=what[:400])
            check = Check(name="record", rule="R0.4", difference=found)
            return Report(epoch=epoch, checks=(check,), is_anchored=False, inheritance=None)
    if witness is not None:
        record = replace(record, on_chain_header_hash=witness.headers.get(epoch))
    head = Head(number=head.number, hash=record.parent.seal_hash)
    if epoch > 0 and before is not None:
        # the checks of these corrections stand in the report of the epoch they correct
        kept = corrected(record.parent, before, entries, record.evidence.calendar)
        record = replace(record, parent=kept.parent)
    report = verify_epoch(record)
    checks = [] if witness is None else list(witness.checks(record.evidence, is_final=state is EpochState.FINAL))
    checks.append(shut_out)
    checks += report.checks
    policy_before = ZERO_HASH if before is None else before.policy_hash
    checks += checks_of_chain(entries, head, record.header.ledger_head, record.evidence, policy_before)
    if report.inheritance is not None:
        checks += _leftover_checks(stored, report.inheritance)
        checks += _correction_checks(record, report.inheritance, after, paid_in, witness)
    return replace(report, checks=tuple(checks))


def _strangers_check(ledger: Ledger, session: Session, epoch: EpochNumber, roles: RoleBook) -> Check:
    """R3.15: left out of the frozen set is what the roles shut out, and nothing else."""
    facts = epochs.facts(session, epoch, EpochState.FROZEN)
    found = strangers(ledger, session, epoch, roles, last_arrival=int(facts["lastArrival"]))
    wanted, told = [to_hex(uid) for uid in found], list(facts["leftOut"])
    where = f"epoch_events, epoch {epoch} · frozen · leftOut"
    difference = Difference(where=where, expected=", ".join(wanted) or "none", found=", ".join(told) or "none")
    return Check(name="frozen.strangers", rule="R3.15", difference=None if wanted == told else difference)


def epoch_record(ledger: Ledger, session: Session, epoch: EpochNumber, left: Inheritance | None = None) -> EpochRecord:
    """A sealed epoch as the ledger has it. `left`: what the epoch before was found to leave; else as recorded."""
    attempt = epochs.current(session, epoch).attempt
    if left is None:
        frozen, parent = load_frozen(ledger, session, epoch), recorded_parent(ledger, session, epoch)
    else:
        holders: dict[Hash32, NodeId] = dict(left.gpu_holders)
        frozen = load_frozen(ledger, session, epoch, used=left.used, previous_holders=holders)
        parent = left.parent
    return EpochRecord(
        evidence=frozen,
        parent=parent,
        totals=totals_of(session, epoch),
        statements=stored_statements(ledger.artefacts.read(session, epoch, attempt, "statements")),
        leaves=recorded_leaves(ledger, session, epoch),
        manifest=manifest_of(session, epoch),
        seal=_seal_record(session, epoch, attempt),
        header=header_of(session, epoch),
        on_chain_header_hash=None,
        verdict_counts=epochs.verdict_counts(session, epoch, attempt),
        details={
            name: stored_rows(name, ledger.artefacts.read(session, epoch, attempt, name)) for name in DETAIL_KINDS
        },
    )


def recorded_parent(ledger: Ledger, session: Session, epoch: EpochNumber) -> ParentEpoch:
    """What the ledger says the epoch before left."""
    if epoch == 0:
        return ParentEpoch()
    before = EpochNumber(epoch - 1)
    header = header_of(session, before)
    attempt = epochs.current(session, before).attempt
    used = UsedRegister.from_parquet(ledger.artefacts.read(session, before, attempt, "used-ranges"))
    return ParentEpoch(
        header_hash=header_hash(header),
        seal_hash=header.ledger_head,
        used_ranges_root=used.root(),
        opening=opening_of(session, epoch),
        cumulative_wei=dict(recorded_leaves(ledger, session, before)),
        tables=_tables_of(session, before),
    )


def _tables_of(session: Session, epoch: EpochNumber) -> Tables:
    frozen = epochs.facts(session, epoch, EpochState.FROZEN)
    return policy_rows.tables(session, Hash32(from_hex(frozen["tablesHash"], 32)))


def recorded_leaves(ledger: Ledger, session: Session, epoch: EpochNumber) -> tuple[tuple[Address, Wei], ...]:
    """The leaves of the stored claim tree, every hash of which was found right. TreeError, MismatchError."""
    tree = _stored_tree(ledger, session, epoch)
    rows = (tree.value_at(index) for index in range(len(tree)))
    return tuple((Address(bytes(account)), Wei(int(amount))) for account, amount in rows)


def claim_tree(ledger: Ledger, epoch: EpochNumber) -> StandardTree:
    """The claim tree that stands for the epoch, validated. NotSealedError, TreeError, MismatchError."""
    require_sealed(ledger, epoch)
    with ledger.database.reading() as session:
        if corrections.booked(session, epoch) is not None:
            return tree_of(ledger, session, epoch)
        return _stored_tree(ledger, session, epoch)


def _stored_tree(ledger: Ledger, session: Session, epoch: EpochNumber) -> StandardTree:
    attempt = epochs.current(session, epoch).attempt
    tree = StandardTree.from_bytes(ledger.artefacts.read(session, epoch, attempt, "tree"))
    tree.validate()
    return tree


def entries_of(session: Session, epoch: EpochNumber) -> tuple[tuple[ChainedEntry, ...], Head]:
    """The seal chain from after the seal of the epoch before to this epoch's, and the head it continues."""
    seal = seal_of(session, epoch)
    before = None if epoch == 0 else seal_of(session, EpochNumber(epoch - 1))
    head = Head() if before is None else Head(number=before.number, hash=before.hash)
    found = journal.entries(session, chain=Chain.SEAL, after=before.seq if before else 0, up_to=seal.seq)
    entries = tuple(
        ChainedEntry(entry.previous_hash, entry.canonical, entry.hash, journal.transfers(session, entry.seq))
        for entry in found
    )
    return entries, head


def entries_after(session: Session, epoch: EpochNumber) -> tuple[ChainedEntry, ...]:
    """The seal chain from after the epoch's seal to its last correction; nothing where its seal stands."""
    count = corrections.booked_count(session, epoch)
    last = journal.find(session, corrections.correction_key(epoch, count)) if count else None
    if last is None:
        return ()
    found = journal.entries(session, chain=Chain.SEAL, after=seal_of(session, epoch).seq, up_to=last.seq)
    return tuple(
        ChainedEntry(entry.previous_hash, entry.canonical, entry.hash, journal.transfers(session, entry.seq))
        for entry in found
    )


def _correction_checks(
    record: EpochRecord,
    left: Inheritance,
    entries: tuple[ChainedEntry, ...],
    paid_in_wei: int,
    witness: ChainWitness | None,
) -> Iterator[Check]:
    """What superseded the epoch's root: linked to its seal, right in itself, and what the chain has."""
    epoch = record.header.epoch
    found = corrected(left.parent, record.header, entries, record.evidence.calendar, paid_in_wei)
    if entries:
        head = Head(number=record.seal.number, hash=left.parent.seal_hash)
        yield check_of_links("correction.chain", "E6.8", entries, head, entries[-1].hash)
    yield from found.checks
    on_chain = () if witness is None else witness.corrections.get(epoch, ())
    if witness is not None and (on_chain or found.header_hashes):
        yield check_of_chain(f"corrections of epoch {epoch} on chain", found.header_hashes, on_chain)


def seal_of(session: Session, epoch: EpochNumber) -> JournalEntry:
    """The journal entry that booked the epoch. MismatchError when it is gone."""
    key = seal_key(epoch, epochs.current(session, epoch).attempt)
    seal = journal.find(session, key)
    if seal is None:
        raise MismatchError(f"the journal has no entry {key}", hint="ath-ledger audit journal --verify")
    return seal


def _seal_record(session: Session, epoch: EpochNumber, attempt: int) -> SealRecord:
    seal = seal_of(session, epoch)
    return SealRecord(
        number=seal.number,
        attempt=attempt,
        previous_hash=seal.previous_hash,
        canonical=seal.canonical,
        hash=seal.hash,
        transfers=journal.transfers(session, seal.seq),
    )


def _stored_leftovers(ledger: Ledger, session: Session, epoch: EpochNumber) -> Iterator[tuple[str, bytes]]:
    """The files the next epoch will be computed from."""
    attempt = epochs.current(session, epoch).attempt
    for kind in ("used-ranges", "gpu-holders"):
        yield kind, ledger.artefacts.read(session, epoch, attempt, kind)


def _leftover_checks(stored: list[tuple[str, bytes]], found: Inheritance) -> Iterator[Check]:
    """Whether the next epoch was, or will be, computed from what this one really leaves (R2.23, R1.6)."""
    files = dict(stored)
    used = UsedRegister.from_parquet(files["used-ranges"])
    same_used = used.ranges.equals(found.used.ranges) and used.production.equals(found.used.production)
    frame = pl.read_parquet(io.BytesIO(files["gpu-holders"])).select("gpu_id", "node_id")
    same_holders = dict(frame.iter_rows()) == dict(found.gpu_holders)
    for name, rule, same in (("used-ranges", "R2.23", same_used), ("gpu-holders", "R1.6", same_holders)):
        different = Difference(where=f"{name}.parquet", expected="what was recomputed", found="another register")
        yield Check(name=f"file.{name}", rule=rule, difference=None if same else different)
