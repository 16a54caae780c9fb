"""The answer to "why is my reward X": one node's payout in one epoch, from the evidence to the last wei.

Everything shown is the sealed statement's, and it is held against the rules first: an explanation that does not
reproduce the payout is not given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from ledger.db import epochs
from ledger.db.policies import StoredPolicy
from ledger.model.allocation import NodeStatement, Totals
from ledger.model.epoch import COMPUTED_STATES, EpochState
from ledger.model.errors import MismatchError, NotFoundError, UsageError
from ledger.model.units import PPM, Address, EpochNumber, Hash32, Wei, to_hex
from ledger.steps.answers.ahead import require_derived
from ledger.steps.answers.epoch_terms import epoch_terms
from ledger.steps.answers.factor_lines import FactorLine, factor_lines, rounding_wei
from ledger.steps.answers.index.statement_index import StatementIndex, statement_index
from ledger.steps.answers.missed_thresholds import (
    MissedThreshold,
    changes_asked,
    low_efficiency_wei,
    missed_thresholds,
    together_wei,
)
from ledger.steps.answers.node_evidence import EpochEvidence, NodeEvidence
from ledger.steps.ledger import Ledger
from ledger.tree.keccak import checksum_address

_COMPARED = ("pay_wei", "base_wei", "efficiency_wei", "green_wei", "capacity", "u_ppm", "uptime", "s_ppm",
             "efficiency", "match_ppm", "grid_ppm", "green", "multiplier", "weight", "load_wh")  # fmt: skip


class NodeMissingError(NotFoundError):
    """No node with a statement in the epoch has an id that begins so."""

    code = "rewards.no-such-node"
    default_hint = "ath-ledger rewards explain --operator ADDRESS lists an operator's nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The epoch before: the node's statement, its operator's payout, and what the network shared."""

    epoch: EpochNumber
    statement: NodeStatement | None
    """None when the node had none."""
    operator_wei: Wei
    pool_wei: Wei
    sum_weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a node was paid what it was paid."""

    epoch: EpochNumber
    state: EpochState
    attempt: int
    paid: NodeStatement
    policy: StoredPolicy
    tables_hash: Hash32
    rules_version: str
    totals: Totals
    factors: tuple[FactorLine, ...]
    rounding_wei: int
    evidence: NodeEvidence
    missed: tuple[MissedThreshold, ...]
    together_wei: Wei | None
    low_efficiency_wei: Wei
    operator_wei: Wei
    before: Earlier | None

    @property
    def nearest(self) -> MissedThreshold | None:
        """The threshold the node was closest to."""
        return self.missed[0] if self.missed else None


def explain(
    ledger: Ledger, epoch: EpochNumber, node: str, operator: Address | None = None, *, only_at_once: bool = False
) -> Explanation:
    """Explain the payout of the node whose id begins with `node` (0x-hex or its digits), among the operator's.

    Raises NodeMissingError, UsageError for several nodes, NotFoundError for an epoch that is not computed,
    MismatchError when a file or the statement is not what was recorded or does not follow from the rules; with
    `only_at_once` NotDerivedError instead of deriving an index.
    """
    with ledger.database.reading() as session:
        standing = epochs.current(session, epoch)
        if only_at_once:
            require_derived(ledger, standing)
        statements = statement_index(ledger, session, epoch, standing.attempt)
        evidence = EpochEvidence(ledger, session, standing)
        paid = _found(statements, evidence, epoch, node, operator)
        terms = epoch_terms(ledger, session, standing)
        before = _earlier(ledger, session, epoch, paid)
        found = evidence.of_node(paid)
    policy, totals = terms.policy, terms.totals
    asked = changes_asked(paid, policy.policy)
    again, *others = terms.resettle(paid, statements.place(paid.node_id), [{}, *asked])
    _check(paid, again, epoch)

    def otherwise(changes: Mapping[str, int]) -> NodeStatement:
        return others[asked.index(changes)]

    missed = missed_thresholds(paid, policy.policy, otherwise)
    return Explanation(
        epoch=epoch,
        state=standing.state,
        attempt=standing.attempt,
        paid=paid,
        policy=policy,
        tables_hash=terms.tables_hash,
        rules_version=terms.tables.rules_version,
        totals=totals,
        factors=factor_lines(paid, policy.policy, policy.version, terms.tables.models[paid.model], totals),
        rounding_wei=rounding_wei(paid, totals),
        evidence=found,
        missed=missed,
        together_wei=together_wei(missed, paid, otherwise),
        low_efficiency_wei=low_efficiency_wei(paid, otherwise),
        operator_wei=_operator_wei(statements, paid.operator),
        before=before,
    )


def last_computed(ledger: Ledger) -> EpochNumber:
    """The newest epoch that has statements. Raises NotFoundError while there is none."""
    with ledger.database.reading() as session:
        newest = epochs.last_in(session, COMPUTED_STATES)
    if newest is None:
        raise NotFoundError("no epoch is computed yet", hint="ath-ledger epoch list")
    return newest


def node_rows(ledger: Ledger, epoch: EpochNumber, operator: Address) -> list[dict[str, Any]]:
    """The operator's nodes in an epoch, the best paid first. Raises NotFoundError when it has none."""
    with ledger.database.reading() as session:
        attempt = epochs.current(session, epoch).attempt
        mine = statement_index(ledger, session, epoch, attempt).of_operator(operator)
    if not mine:
        raise NotFoundError(
            f"{checksum_address(operator)} has no node in epoch {epoch}", hint="ath-ledger rewards show lists operators"
        )
    return [
        {
            "node": to_hex(paid.node_id),
            "model": paid.model,
            "gpus": paid.gpu_count,
            "zone": paid.zone,
            "payout_wei": paid.pay_wei,
            "uptime_ppm": paid.u_ppm,
            "U": paid.uptime,
            "E": paid.efficiency,
            "G": paid.green,
            "reasons": paid.reasons,
        }
        for paid in sorted(mine, key=lambda paid: (-paid.pay_wei, paid.node_id))
    ]


def _found(
    statements: StatementIndex, evidence: EpochEvidence, epoch: EpochNumber, node: str, operator: Address | None
) -> NodeStatement:
    digits = node.lower().removeprefix("0x")
    if not digits or len(digits) > 64 or not all(digit in "0123456789abcdef" for digit in digits):
        raise UsageError(f"{node!r} is no beginning of a node id (0x and up to 64 hex digits)")
    count, first = statements.beginning_with(digits, operator)
    if count > 1:
        raise UsageError(
            f"{count} nodes of epoch {epoch} begin with 0x{digits}: {to_hex(first[0])}, {to_hex(first[1])}"
            + (" and others" if count > 2 else ""),
            hint="give more digits of the node's id",
        )
    paid = statements.find(first[0]) if first else None
    if paid is not None:
        return paid
    refused = evidence.refused_registration(digits)
    if refused is not None:
        node_id, refusal = refused
        raise NodeMissingError(
            f"node {to_hex(node_id)} has no active registration in epoch {epoch}: {refusal.code}, {refusal.meaning}"
            + (f" ({refusal.detail})" if refusal.detail else ""),
            hint=refusal.remedy,
        )
    of_whom = f" of {checksum_address(operator)}" if operator is not None else ""
    raise NodeMissingError(f"no node{of_whom} in epoch {epoch} has an id that begins with 0x{digits}")


def _check(paid: NodeStatement, again: NodeStatement, epoch: EpochNumber) -> None:
    """An explanation must explain the payout that was sealed (R4.20): its lines sum, its factors follow."""
    node = to_hex(paid.node_id)
    if paid.base_wei + paid.efficiency_wei + paid.green_wei != paid.pay_wei:
        raise MismatchError(f"epoch {epoch}: the lines of node {node} do not sum to its payout")
    if again != paid:
        names = [name for name in NodeStatement.__dataclass_fields__ if getattr(again, name) != getattr(paid, name)]
        raise MismatchError(f"epoch {epoch}: the statement of node {node} does not follow from the rules: {names}")


def _earlier(ledger: Ledger, session: Session, epoch: EpochNumber, paid: NodeStatement) -> Earlier | None:
    if epoch == 0:
        return None
    standing = epochs.current(session, EpochNumber(epoch - 1))
    statements = statement_index(ledger, session, standing.epoch, standing.attempt)
    totals = epoch_terms(ledger, session, standing).totals
    return Earlier(
        epoch=standing.epoch,
        statement=statements.find(paid.node_id),
        operator_wei=_operator_wei(statements, paid.operator),
        pool_wei=totals.pool_wei,
        sum_weight=totals.sum_weight,
    )


def _operator_wei(statements: StatementIndex, operator: Address) -> Wei:
    found = statements.operator_sum(operator)
    return Wei(0) if found is None else found.pay_wei


def comparison_rows(explanation: Explanation) -> list[dict[str, Any]]:
    """What changed against the epoch before, a figure a row; empty for epoch 0 and for a node that is new."""
    before, now = explanation.before, explanation.paid
    if before is None or before.statement is None:
        return []
    pairs = {name: (getattr(before.statement, name), getattr(now, name)) for name in _COMPARED}
    pairs |= {
        "operator_wei": (before.operator_wei, explanation.operator_wei),
        "pool_wei": (before.pool_wei, explanation.totals.pool_wei),
        "sum_weight": (before.sum_weight, explanation.totals.sum_weight),
    }
    return [
        {"figure": name, "before": str(old), "now": str(new), "change": str(new - old)}
        for name, (old, new) in pairs.items()
    ]


def share_ppm(explanation: Explanation) -> int:
    """The node's share of the pool, rounded down."""
    total = explanation.totals.sum_weight
    return explanation.paid.weight * PPM // total if total else 0
