"""The statements of a computed epoch a page at a time, node by node or summed by operator, out of the verified file."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from ledger.db import epochs
from ledger.db.epochs import EpochStanding
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber, NodeId, to_hex
from ledger.rules.statements import STATEMENT_COLUMNS
from ledger.steps.answers.explain import NodeMissingError
from ledger.steps.ledger import Ledger
from ledger.steps.sealed import tree_of
from ledger.tree.keccak import checksum_address
from ledger.tree.payout import payout_proof
from ledger.tree.standard import LeafNotFoundError, StandardTree

_LINES = ("pay_wei", "base_wei", "efficiency_wei", "green_wei")
_SEALED = frozenset({EpochState.SEALED, EpochState.PROPOSED, EpochState.ACTIVE, EpochState.FINAL})


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Some rows, and which attempt of the epoch they are of: another attempt has another order."""

    attempt: int
    rows: list[dict[str, Any]]


def statement_page(
    ledger: Ledger,
    epoch: EpochNumber,
    *,
    offset: int,
    limit: int,
    operator: Address | None = None,
    equal: dict[str, str] | None = None,
) -> StatementPage:
    """Statements by node id, from a place in their order on. `equal`: columns and the text they must have.

    Raises RowMissingError, NotFoundError before the epoch is computed, MismatchError for a damaged file.
    """
    attempt, lazy = _scan(ledger, epoch)
    wanted = [pl.col(name) == value for name, value in (equal or {}).items()]
    if operator is not None:
        wanted.append(pl.col("operator") == operator)
    found = lazy.filter(*wanted) if wanted else lazy
    return StatementPage(attempt, _statements(found.slice(offset, limit).collect()))


def statement_of(ledger: Ledger, epoch: EpochNumber, node: NodeId) -> dict[str, Any]:
    """One node's statement. Raises NodeMissingError and what `statement_page` raises."""
    _, lazy = _scan(ledger, epoch)
    found = _statements(lazy.filter(pl.col("node_id") == node).collect())
    if not found:
        raise NodeMissingError(f"node {to_hex(node)} has no statement in epoch {epoch}")
    return found[0]


def allocation_page(ledger: Ledger, epoch: EpochNumber, *, after: Address | None, limit: int) -> list[dict[str, Any]]:
    """What operators earned in an epoch, ascending by address; the words are those of `rewards show --epoch`."""
    _, lazy = _scan(ledger, epoch)
    if after is not None:
        lazy = lazy.filter(pl.col("operator") > after)
    sums = lazy.group_by("operator").agg(pl.len().alias("nodes"), *(pl.col(_LINES).cast(pl.Int128).sum(),))
    found = sums.sort("operator").head(limit).collect()
    with ledger.database.reading() as session:
        standing = epochs.current(session, epoch)
        tree = tree_of(ledger, session, epoch) if standing.state in _SEALED else None
    return [_allocation(row, standing, tree) for row in found.iter_rows(named=True)]


def _scan(ledger: Ledger, epoch: EpochNumber) -> tuple[int, pl.LazyFrame]:
    with ledger.database.reading() as session:
        epochs.facts(session, epoch, EpochState.COMPUTED)
        attempt = epochs.current(session, epoch).attempt
        file = ledger.artefacts.mapped(session, epoch, attempt, "statements")
    return attempt, pl.scan_parquet(file.place)


def _statements(found: pl.DataFrame) -> list[dict[str, Any]]:
    whole = found.select(pl.col(name).cast(kind) for name, kind in STATEMENT_COLUMNS.items())
    return [{**row, "operator": checksum_address(row["operator"])} for row in whole.iter_rows(named=True)]


def _allocation(row: dict[str, Any], standing: EpochStanding, tree: StandardTree | None) -> dict[str, Any]:
    return {
        "operator": checksum_address(row["operator"]),
        "nodes": row["nodes"],
        "payout_wei": row["pay_wei"],
        "base_wei": row["base_wei"],
        "efficiency_wei": row["efficiency_wei"],
        "green_wei": row["green_wei"],
        "amount_wei": None if tree is None else _amount(tree, row["operator"]),
        "state": standing.state.value,
    }


def _amount(tree: StandardTree, operator: Address) -> int:
    try:
        return payout_proof(tree, operator).cumulative_wei
    except LeafNotFoundError:
        return 0
