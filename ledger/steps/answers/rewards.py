"""What operators have earned: accrued, final, claimable, claimed; and each epoch's part in it.

From the books and the sealed statements alone: no chain is asked, so the answer is as of the last final block.
The words are those of Merkl: `amount` is everything that is in a root the contract pays (cumulative), `claimed`
what was withdrawn, `claimable` the difference, `pending` what is earned and in no such root yet.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from ledger.books.accounts import claimed, operator_of, payable, pending
from ledger.books.trial_balance import ZERO_BALANCE, Balance
from ledger.db import epochs, journal
from ledger.db.balances import stored_balances
from ledger.db.epochs import EpochStanding
from ledger.model.epoch import COMPUTED_STATES, SEALED_STATES, EpochState
from ledger.model.errors import NotFoundError
from ledger.model.units import SECONDS_PER_HOUR, Address, EpochNumber
from ledger.steps.answers.index.statement_index import statement_index
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import tree_of
from ledger.steps.transitions.transition import utc
from ledger.tree.keccak import checksum_address
from ledger.tree.payout import payout_amount, payout_proof
from ledger.tree.standard import LeafNotFoundError, StandardTree

_DAY = 24 * SECONDS_PER_HOUR


class OperatorUnknownError(NotFoundError):
    """The operator has never had a node in a computed epoch."""

    code = "rewards.no-such-operator"
    default_hint = "ath-ledger rewards show lists operators"


def reward_rows(ledger: Ledger) -> list[dict[str, Any]]:
    """Every operator's life-cycle, ascending by address."""
    with ledger.database.reading() as session:
        balances = journal.balances(session)
        accrued = computed_only(ledger, session)
    known = {operator_of(account) for account in balances} | accrued.keys()
    return [life_cycle(balances, accrued, operator) for operator in sorted(each for each in known if each is not None)]


def operator_fact(ledger: Ledger, operator: Address) -> dict[str, Any]:
    """One operator's life-cycle, with the proof of its amount in the last final epoch's tree.

    Raises OperatorUnknownError.
    """
    with ledger.database.reading() as session:
        balances = stored_balances(session, [account(operator) for account in (pending, payable, claimed)])
        accrued = computed_only(ledger, session, operator=operator)
        if not balances and operator not in accrued:
            raise OperatorUnknownError(f"{checksum_address(operator)} has earned nothing in this ledger")
        fact = life_cycle(balances, accrued, operator)
        final = epochs.last_in(session, {EpochState.FINAL})
        tree = None if final is None else tree_of(ledger, session, final)
    fact["root"] = None if tree is None else tree.root
    fact["proofs"] = [] if tree is None else _proofs(tree, operator)
    return fact


def epoch_reward_rows(
    ledger: Ledger, epoch: EpochNumber, *, after: Address | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """What operators with a node earned in one epoch, and their cumulative amounts after it, ascending by address.

    All of them, or at most `limit` behind an address. Raises NotFoundError before the epoch is computed.
    """
    with ledger.database.reading() as session:
        standing = epochs.current(session, epoch)
        sums = statement_index(ledger, session, epoch, standing.attempt).operator_sums(after=after, limit=limit)
        tree = tree_of(ledger, session, epoch, standing=standing) if standing.state in SEALED_STATES else None
    return [
        {
            "operator": checksum_address(each.operator),
            "nodes": each.nodes,
            "payout_wei": each.pay_wei,
            "base_wei": each.base_wei,
            "efficiency_wei": each.efficiency_wei,
            "green_wei": each.green_wei,
            "amount_wei": None if tree is None else payout_amount(tree, each.operator),
            "state": standing.state.value,
        }
        for each in sums
    ]


def history_rows(ledger: Ledger, operator: Address, epoch: EpochNumber | None = None) -> list[dict[str, Any]]:
    """What the operator earned, an epoch a row: every computed epoch, or the one asked for.

    Raises OperatorUnknownError when it never had a node.
    """
    with ledger.database.reading() as session:
        computed = [each for each in epochs.all_standings(session) if each.state in COMPUTED_STATES]
        rows = [
            row
            for standing in computed
            if epoch is None or standing.epoch == epoch
            for row in _epoch_row(ledger, session, standing, operator)
        ]
    if not rows:
        where = "this ledger" if epoch is None else f"epoch {epoch}"
        raise OperatorUnknownError(f"{checksum_address(operator)} has no node with a statement in {where}")
    return rows


def _epoch_row(ledger: Ledger, session: Session, standing: EpochStanding, operator: Address) -> list[dict[str, Any]]:
    total = statement_index(ledger, session, standing.epoch, standing.attempt).operator_sum(operator)
    if total is None:
        return []
    return [
        {
            "epoch": standing.epoch,
            "days": days(ledger, standing.epoch),
            "state": standing.state.value,
            "nodes": total.nodes,
            "payout_wei": total.pay_wei,
            "base_wei": total.base_wei,
            "efficiency_wei": total.efficiency_wei,
            "green_wei": total.green_wei,
        }
    ]


def days(ledger: Ledger, epoch: EpochNumber) -> str:
    """The days an epoch covers, in UTC; with hours when it does not begin and end with a day."""
    start, end = ledger.calendar.start(epoch), ledger.calendar.end(epoch)
    if start % _DAY or end % _DAY:
        return f"{utc(start)[:16]} to {utc(end)[:16]}"
    first, last = utc(start)[:10], utc(end - 1)[:10]
    return first if first == last else f"{first} to {last}"


def life_cycle(balances: Mapping[str, Balance], accrued: Mapping[Address, int], operator: Address) -> dict[str, Any]:
    """Pending, amount, claimed and claimable of one operator."""
    waiting, owed, paid = (balances.get(account(operator), ZERO_BALANCE).net for account in (pending, payable, claimed))
    return {
        "operator": checksum_address(operator),
        "pending_wei": waiting + accrued.get(operator, 0),
        "amount_wei": owed + paid,
        "claimed_wei": paid,
        "claimable_wei": owed,
    }


def computed_only(
    ledger: Ledger,
    session: Session,
    *,
    operator: Address | None = None,
    after: Address | None = None,
    limit: int | None = None,
) -> dict[Address, int]:
    """What is computed and in no books yet: of one operator, or of at most `limit` of each epoch behind an address."""
    accrued: dict[Address, int] = {}
    for standing in epochs.all_standings(session):
        if standing.state is EpochState.COMPUTED:
            index = statement_index(ledger, session, standing.epoch, standing.attempt)
            one = index.operator_sum(operator) if operator is not None else None
            found = index.operator_sums(after=after, limit=limit) if operator is None else [one] if one else []
            for total in found:
                accrued[total.operator] = accrued.get(total.operator, 0) + total.pay_wei
    return accrued


def _proofs(tree: StandardTree, operator: Address) -> list[bytes]:
    try:
        return list(payout_proof(tree, operator).proof)
    except LeafNotFoundError:
        return []
