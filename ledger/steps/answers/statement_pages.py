"""The statements of a computed epoch a page at a time, node by node or summed by operator."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from ledger.db import epochs
from ledger.db.epochs import EpochStanding
from ledger.model.epoch import SEALED_STATES, EpochState
from ledger.model.units import Address, EpochNumber, NodeId, to_hex
from ledger.rules.statements import STATEMENT_COLUMNS
from ledger.steps.answers.explain import NodeMissingError
from ledger.steps.answers.index.statement_index import OperatorSum, StatementIndex, statement_index
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import tree_of
from ledger.tree.keccak import checksum_address
from ledger.tree.payout import payout_amount
from ledger.tree.standard import StandardTree


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Some rows, and which attempt of the epoch they are of."""

    attempt: int
    rows: list[dict[str, Any]]


def statement_page(
    ledger: Ledger,
    epoch: EpochNumber,
    *,
    after: NodeId | None,
    limit: int,
    operator: Address | None = None,
    equal: dict[str, str] | None = None,
) -> StatementPage:
    """Statements behind a node id, ascending. `equal`: columns and the text they must have, found by a scan.

    Raises RowMissingError, NotFoundError before the epoch is computed, MismatchError for a damaged file.
    """
    if equal:
        return _scanned(ledger, epoch, after, limit, operator, equal)
    standing, index = _index(ledger, epoch)
    rows = [_shown(asdict(paid)) for paid in index.page(after=after, limit=limit, operator=operator)]
    return StatementPage(standing.attempt, rows)


def statement_of(ledger: Ledger, epoch: EpochNumber, node: NodeId) -> dict[str, Any]:
    """One node's statement. Raises NodeMissingError and what `statement_page` raises."""
    found = _index(ledger, epoch)[1].find(node)
    if found is None:
        raise NodeMissingError(f"node {to_hex(node)} has no statement in epoch {epoch}")
    return _shown(asdict(found))


def allocation_page(ledger: Ledger, epoch: EpochNumber, *, after: Address | None, limit: int) -> list[dict[str, Any]]:
    """What operators earned in an epoch, ascending by address; the words are those of `rewards show --epoch`."""
    standing, index = _index(ledger, epoch)
    sums = index.operator_sums(after=after, limit=limit)
    with ledger.database.reading() as session:
        tree = tree_of(ledger, session, epoch, standing=standing) if standing.state in SEALED_STATES else None
    return [_allocation(each, standing, tree) for each in sums]


def _index(ledger: Ledger, epoch: EpochNumber) -> tuple[EpochStanding, StatementIndex]:
    with ledger.database.reading() as session:
        epochs.facts(session, epoch, EpochState.COMPUTED)
        standing = epochs.current(session, epoch)
        return standing, statement_index(ledger, session, epoch, standing.attempt)


def _scanned(
    ledger: Ledger,
    epoch: EpochNumber,
    after: NodeId | None,
    limit: int,
    operator: Address | None,
    equal: dict[str, str],
) -> StatementPage:
    with ledger.database.reading() as session:
        epochs.facts(session, epoch, EpochState.COMPUTED)
        attempt = epochs.current(session, epoch).attempt
        file = ledger.artefacts.mapped(session, epoch, attempt, "statements")
    wanted = [pl.col(name) == value for name, value in equal.items()]
    if operator is not None:
        wanted.append(pl.col("operator") == operator)
    if after is not None:
        wanted.append(pl.col("node_id") > after)
    found = pl.scan_parquet(file.place).filter(*wanted).head(limit).collect()
    whole = found.select(pl.col(name).cast(kind) for name, kind in STATEMENT_COLUMNS.items())
    return StatementPage(attempt, [_shown(row) for row in whole.iter_rows(named=True)])


def _shown(statement: dict[str, Any]) -> dict[str, Any]:
    return {**statement, "operator": checksum_address(statement["operator"])}


def _allocation(sums: OperatorSum, standing: EpochStanding, tree: StandardTree | None) -> dict[str, Any]:
    return {
        "operator": checksum_address(sums.operator),
        "nodes": sums.nodes,
        "payout_wei": sums.pay_wei,
        "base_wei": sums.base_wei,
        "efficiency_wei": sums.efficiency_wei,
        "green_wei": sums.green_wei,
        "amount_wei": None if tree is None else payout_amount(tree, sums.operator),
        "state": standing.state.value,
    }
