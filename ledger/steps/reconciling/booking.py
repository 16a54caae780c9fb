"""Putting differences on record: amounts go to suspense with their evidence, everything else halts the next epoch.

Either way nothing new is paid before a person has looked. Nothing is booked onto rows that are not what was hashed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.books.errors import BalanceRuleError
from ledger.books.log_entries import suspense_entry
from ledger.books.posting import Posting
from ledger.db import journal
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.drive import next_epoch, state_of
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.finding import Finding, Reconciliation
from ledger.steps.reconciling.suspense import PREFIX
from ledger.steps.transitions.halt import halt


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a booking did."""

    keys: tuple[str, ...]
    """Suspense entries, as in the journal."""
    halted: EpochNumber | None
    """The epoch that waits for a person because of what is no amount, or cannot be booked."""


def postings(found: Reconciliation) -> Iterator[tuple[Finding, Posting]]:
    """What would be booked, one entry a differing account. Block and seq in the key tell two looks apart."""
    for finding in found.differing:
        if finding.account:
            evidence = {
                "rule": finding.rule,
                "block": found.block.number,
                "blockHash": to_hex(found.block.hash),
                "asOfSeq": found.seq,
                "books": finding.books,
                "chain": finding.found,
            }
            yield (
                finding,
                suspense_entry(
                    name=f"{found.block.number}/{found.seq}/{finding.account}",
                    account=finding.account,
                    difference=finding.difference,
                    evidence=evidence,
                    effective_at=found.block.timestamp,
                ),
            )


def record(ledger: Ledger, found: Reconciliation) -> Recorded:
    """Book every differing amount, each in a transaction of its own; halt the next epoch for what cannot be booked.

    What a killed call left out is found and booked by the next one.
    """
    keys: list[str] = []
    refused: list[str] = []
    now = ledger.clock.now()
    for finding, posting in postings(found):
        try:
            with ledger.database.transaction() as session:
                keys.append(journal.append(session, posting, recorded_at=now).key)
        except BalanceRuleError as error:
            refused.append(f"{finding.account}: {error.what}")
    others = [each for each in found.differing if not each.account and not each.what.startswith(PREFIX)]
    refused += [f"{each.rule} {each.what}: {each.books}, not {each.found}" for each in others]
    return Recorded(keys=tuple(keys), halted=_halt(ledger, refused) if refused else None)


def _halt(ledger: Ledger, reasons: list[str]) -> EpochNumber:
    epoch = next_epoch(ledger)
    if state_of(ledger, epoch) is not EpochState.HALTED:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        halt(ledger, epoch, f"reconciliation found a difference: {reasons[0][:600]}{more}")
    return epoch
