"""Reconciliation R1 to R5: rows, books, chain totals, operators, recomputation, at the block the books are final to.

Reading only. What differs is booked by `booking`, and only when a person asks for it.
"""

from collections.abc import Callable, Iterator
from typing import Final

from sqlalchemy.orm import Session

from ledger.audit.report import Report
from ledger.chain.following.follower import final_events
from ledger.chain.node.connection import Block
from ledger.db import chain_log, epochs, journal
from ledger.db.chain_log import FinalPoint
from ledger.model.epoch import EpochState
from ledger.model.errors import EnvironmentFailure, NotFoundError
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.auditing.chain import chain_witness
from ledger.steps.auditing.epochs import NotSealedError, last_sealed, verified_epochs
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.chain_totals import chain_totals
from ledger.steps.reconciling.finding import Finding, Outcome, Reconciliation, compared
from ledger.steps.reconciling.operators import operator_findings
from ledger.steps.reconciling.rows import book_findings, row_findings
from ledger.steps.reconciling.settled_books import settled_books
from ledger.steps.recorded.open_differences import open_differences
from ledger.steps.settlement import Settlement

_BOOKED_EVENTS = {"EpochActivated": "activation", "Claimed": "claim", "CarbonRetired": "retirement"}


class NothingFinalError(NotFoundError):
    """The books have not followed the chain yet; there is no block to compare them at."""

    code = "reconcile.nothing-final"
    default_hint = "ath-ledger run"


class ChainBehindError(EnvironmentFailure):
    """The node does not have the block up to which the books are final."""

    code = "reconcile.chain-behind"
    default_hint = "wait until the node is synchronised, or ask another one"


class BooksBehindError(EnvironmentFailure):
    """Something is final on chain and not booked yet: comparing now would show it as a difference."""

    code = "reconcile.books-behind"
    default_hint = "ath-ledger run; then ath-ledger audit reconcile again"


class BooksMovedError(EnvironmentFailure):
    """Other processes went on booking all the while; what differed may only have been new."""

    code = "reconcile.books-moved"
    default_hint = "ath-ledger audit reconcile again, when less is going on"


TRIES: Final = 3
"""How often a comparison that found differences starts over because the books went on meanwhile."""


def reconcile(
    ledger: Ledger, *, recompute: bool = True, told: Callable[[str], None] = lambda _rule: None
) -> Reconciliation:
    """Compare everything at the block the books are final to; `told` hears what is being looked at.

    `recompute`: also R5, the slow one. Raises NothingFinalError, ChainBehindError, BooksBehindError, BooksMovedError
    and the chain's own errors; differences are findings.
    """
    for _ in range(TRIES):
        found = _reconciled(ledger, recompute=recompute, told=told)
        if not found.differing or not _moved(ledger, found):
            return found
    raise BooksMovedError(f"in {TRIES} tries the books never stood still at one block")


def _moved(ledger: Ledger, found: Reconciliation) -> bool:
    """Whether something was followed or booked since the comparison began."""
    with ledger.database.reading() as session:
        point = chain_log.final_point(session, ledger.domain.chain_id)
        return journal.last_seq(session) != found.seq or point is None or point.number != found.block.number


def _reconciled(ledger: Ledger, *, recompute: bool, told: Callable[[str], None]) -> Reconciliation:
    settlement = ledger.settlement()
    with ledger.database.reading() as session:
        point = chain_log.final_point(session, ledger.domain.chain_id)
        seq = journal.last_seq(session)
    if point is None:
        raise NothingFinalError("the books have not followed the chain yet")
    at = _pinned(settlement, point)
    findings: list[Finding] = []
    told("rows")
    findings.append(row_findings(ledger, lambda _entry: None))
    if at.hash != point.hash:
        findings.append(compared("R3", f"block {point.number}", to_hex(point.hash), to_hex(at.hash)))
    if any(each.outcome is Outcome.DIFFERS for each in findings):
        # sums over rows that were altered, or at a block of another branch, would only repeat it in other words
        findings += [_left_out(rule) for rule in ("R2", "R3", "R4", "R5")]
        return Reconciliation(block=at, seq=seq, findings=findings)
    findings += _comparisons(ledger, settlement, at, recompute=recompute, told=told)
    return Reconciliation(block=at, seq=seq, findings=findings)


def _comparisons(
    ledger: Ledger, settlement: Settlement, at: Block, *, recompute: bool, told: Callable[[str], None]
) -> Iterator[Finding]:
    _require_booked(ledger, settlement, at)
    with ledger.database.reading() as session:
        books = settled_books(session)
        standing = open_differences(session)
    told("books")
    yield from book_findings(ledger, books)
    for each in standing:
        yield compared("R2", each.key, f"{each.difference} on {each.account}", "nothing in suspense")
    told("chain totals")
    yield from chain_totals(ledger, settlement, at, books)
    told("operators")
    yield from operator_findings(ledger, settlement.rewards_ledger, at, books)
    if not recompute:
        yield _left_out("R5")
        return
    told("recomputation")
    yield from _recomputed(ledger, settlement)


def _recomputed(ledger: Ledger, settlement: Settlement) -> Iterator[Finding]:
    """R5: from evidence alone, by the auditor's calculator, every epoch from 0 on."""
    try:
        last = last_sealed(ledger)
    except NotSealedError:
        yield compared("R5", "epochs recomputed", "none is sealed", "none is sealed")
        return
    witness = chain_witness(settlement.connection, settlement.deployment)
    for report in verified_epochs(ledger, last, witness=witness):
        yield from _report_findings(report)


def _report_findings(report: Report) -> Iterator[Finding]:
    for check in report.failed:
        difference = check.difference
        where = "" if difference is None else f", {difference.where}"
        books, found = ("", "") if difference is None else (difference.found, difference.expected)
        what = f"epoch {report.epoch}: {check.name} ({check.rule}){where}"
        yield Finding(rule="R5", what=what, books=books, found=found, outcome=Outcome.DIFFERS)
    if report.passed:
        told = f"{len(report.checks)} checks"
        yield compared("R5", f"epoch {report.epoch} recomputed from its evidence", told, told)


def _pinned(settlement: Settlement, point: FinalPoint) -> Block:
    found = settlement.connection.find_block(point.number)
    if found is None:
        head = settlement.connection.head().number
        raise ChainBehindError(f"the books are final to block {point.number}, the node has {head} blocks")
    return found


def _require_booked(ledger: Ledger, settlement: Settlement, at: Block) -> None:
    """Every final event that moves money is in the journal: a crash may have come between following and booking."""
    contracts = settlement.deployment.followed
    with ledger.database.reading() as session:
        above = journal.last_booked_block(session) - 1
        for event in final_events(ledger.database, ledger.domain.chain_id, contracts, above=above, up_to=at.number):
            kind = _BOOKED_EVENTS.get(event.name)
            if kind in {"claim", "retirement"} and journal.find(session, f"{kind}/{event.key}") is None:
                raise BooksBehindError(f"{event.name} in block {event.block_number} is final and not booked yet")
            if kind == "activation" and not _is_activation_booked(session, event.arguments["epoch"]):
                raise BooksBehindError(
                    f"the activation of epoch {event.arguments['epoch']} is final and not booked yet"
                )


def _is_activation_booked(session: Session, epoch: EpochNumber) -> bool:
    return epochs.state_of(session, epoch) is EpochState.FINAL


def _left_out(rule: str) -> Finding:
    return Finding(rule=rule, what="", books="", found="", outcome=Outcome.NOT_LOOKED_AT)
