"""COMPUTED → SEALED: book the result, grow the claim tree, and fix the header that goes on chain.

Manifest, then seal, then header: each hashes the one before, so the header binds the books, the inputs and the rules.
"""

from collections.abc import Collection

from sqlalchemy.orm import Session

from ledger.books.seal_entries import OperatorLines, policy_entry, seal_entry
from ledger.db import epochs, journal
from ledger.db import policies as policy_rows
from ledger.db.faultpoint import faultpoint
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError
from ledger.model.header import EpochHeader, Manifest
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32, MicrogramsCo2e, Wei, from_hex, to_hex
from ledger.rules.statements import operator_totals
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import (
    header_document,
    parent_header_hash,
    standing_header,
    tree_of,
)
from ledger.steps.recorded.statements import statements_of
from ledger.steps.recorded.totals import totals_of
from ledger.steps.transitions.transition import Facts, Moved, StepResult
from ledger.tree.commitments import header_hash, manifest_hash
from ledger.tree.payout import payout_tree


def seal(ledger: Ledger, epoch: EpochNumber, *, only: Collection[Hash32] | None = None) -> StepResult:
    """Seal a computed epoch: journal entries, tree, manifest and header in one transaction.

    `only`: the hashes of the headers it may have; MismatchError for any other one, and nothing is kept.
    """
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch, expected=EpochState.COMPUTED)
        totals = totals_of(session, epoch)
        lines = _lines(ledger, session, epoch, version.attempt)
        cumulative = cumulative_before(ledger, session, epoch)
        for line in lines:
            if line.pay_wei:
                cumulative[line.operator] = Wei(cumulative.get(line.operator, 0) + line.pay_wei)
        tree = payout_tree(list(cumulative), list(cumulative.values()))
        manifest = manifest_of(session, epoch)
        _book_policy(session, ledger, epoch)
        entry = journal.append(
            session,
            seal_entry(
                totals=totals,
                attempt=version.attempt,
                manifest_hash=manifest_hash(manifest),
                claim_root=tree.root,
                lines=lines,
                effective_at=ledger.calendar.end(epoch),
            ),
            recorded_at=now,
        )
        header = EpochHeader(
            epoch=epoch,
            claim_root=tree.root,
            ledger_head=entry.hash,
            policy_hash=manifest.policy_hash,
            manifest_hash=manifest_hash(manifest),
            parent_hash=parent_header_hash(session, epoch),
            payout=totals.payout_wei,
            carbon=totals.carbon_wei,
            reserve=totals.reserve_wei,
            rollover=totals.rollover_out_wei,
            residual_micrograms=totals.residual_ug,
        )
        if only is not None and header_hash(header) not in only:
            wanted = ", ".join(to_hex(each) for each in only)
            raise MismatchError(f"its header would be {to_hex(header_hash(header))}, expected is {wanted}")
        file = ledger.artefacts.write(epoch, version.attempt, "tree.bin", tree.to_bytes())
        faultpoint("seal.after_effect")
        ledger.artefacts.record(session, epoch, version.attempt, file, now)
        facts = {
            "sealHash": to_hex(entry.hash),
            "sealNumber": entry.number,
            "manifestHash": to_hex(header.manifest_hash),
            "claimRoot": to_hex(tree.root),
            "leafCount": len(tree),
            "header": header_document(header),
            "headerHash": to_hex(header_hash(header)),
        }
        epochs.record_transition(session, version, EpochState.SEALED, facts=facts, recorded_at=now)
        faultpoint("seal.before_commit")
    faultpoint("seal.after_commit")
    return Moved(epoch=epoch, state=EpochState.SEALED, what=f"sealed as {to_hex(entry.hash)[:18]}…")


def manifest_of(session: Session, epoch: EpochNumber) -> Manifest:
    """The manifest of a computed epoch, from the facts its transitions recorded."""
    frozen = epochs.facts(session, epoch, EpochState.FROZEN)
    computed = epochs.facts(session, epoch, EpochState.COMPUTED)
    tables = policy_rows.tables(session, _hash(frozen, "tablesHash"))
    before = ZERO_HASH if epoch == 0 else standing_header(session, EpochNumber(epoch - 1)).ledger_head
    return Manifest(
        epoch=epoch,
        policy_hash=_hash(frozen, "policyHash"),
        rules_version=tables.rules_version,
        evidence_root=_hash(computed, "evidenceRoot"),
        registrations_root=_hash(computed, "registrationsRoot"),
        used_ranges_root=_hash(computed, "usedRangesRoot"),
        roles_block=int(frozen["rolesBlock"]),
        roles_block_hash=_hash(frozen, "rolesBlockHash"),
        statements_hash=_hash(computed, "statementsHash"),
        rollover_in=Wei(int(computed["rolloverInWei"])),
        carried_in_ug=MicrogramsCo2e(int(computed["carriedInUg"])),
        previous_seal=before,
    )


def cumulative_before(ledger: Ledger, session: Session, epoch: EpochNumber) -> dict[Address, Wei]:
    """What each operator had earned in all before the epoch, by ascending address."""
    if epoch == 0:
        return {}
    tree = tree_of(ledger, session, EpochNumber(epoch - 1))
    leaves = (tree.value_at(index) for index in range(len(tree)))
    return {Address(bytes(account)): Wei(int(amount)) for account, amount in leaves}


def _lines(ledger: Ledger, session: Session, epoch: EpochNumber, attempt: int) -> list[OperatorLines]:
    return [
        OperatorLines(
            operator=total.operator,
            base_wei=total.base_wei,
            efficiency_wei=total.efficiency_wei,
            green_wei=total.green_wei,
        )
        for total in operator_totals(statements_of(ledger.artefacts, session, epoch, attempt))
    ]


def _book_policy(session: Session, ledger: Ledger, epoch: EpochNumber) -> None:
    """The policy's entry directly precedes the first seal it governs (encodings spec, seal and head)."""
    version = int(epochs.facts(session, epoch, EpochState.FROZEN)["policyVersion"])
    if journal.find(session, f"policy/{version}") is not None:
        return
    row = policy_rows.policy(session, version)
    journal.append(
        session,
        policy_entry(
            version=version,
            effective_epoch=row.effective_epoch,
            policy=row.policy,
            policy_hash=row.policy_hash,
            effective_at=ledger.calendar.start(row.effective_epoch),
        ),
        recorded_at=ledger.clock.now(),
    )


def _hash(facts: Facts, name: str) -> Hash32:
    return Hash32(from_hex(facts[name], 32))
