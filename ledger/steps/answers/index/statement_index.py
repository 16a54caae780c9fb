"""The statements of one computed epoch, to be looked up by node and by operator, or listed page by page."""

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy.orm import Session

from ledger.model.allocation import NodeStatement
from ledger.model.units import Address, EpochNumber, NodeId, Wei
from ledger.steps.answers.index.derived_file import DerivedFile, derived_file
from ledger.steps.kept.mapped_files import MappedFile
from ledger.steps.ledger import Ledger

if TYPE_CHECKING:  # who only looks things up need not load it
    import polars as pl

_FORMAT: Final = b"statements/1"
_WIDE: Final = frozenset({"weight", "pay_wei", "base_wei", "efficiency_wei", "green_wei"})
"""More than 64 bits: kept as decimal digits."""
_TYPES: Final = {"node_id": "BLOB", "operator": "BLOB", "model": "TEXT", "zone": "TEXT", "country": "TEXT",
                 "reasons": "TEXT"}  # fmt: skip
_NAMES: Final = tuple(NodeStatement.__dataclass_fields__)
_COLUMNS: Final = ", ".join(_NAMES)
_LINES: Final = ("pay_wei", "base_wei", "efficiency_wei", "green_wei")
_LAST_NODE: Final = b"\xff" * 33
"""Behind every node id."""


class OperatorSum(NamedTuple):
    """What one operator's nodes earned in an epoch, line by line."""

    operator: Address
    nodes: int
    pay_wei: Wei
    base_wei: Wei
    efficiency_wei: Wei
    green_wei: Wei


class StatementIndex:
    """One attempt's statements. Every number is the sealed file's."""

    def __init__(self, file: DerivedFile, source: MappedFile) -> None:
        self._file = file
        self.source = source
        """The sealed statements it was derived from."""

    def find(self, node_id: bytes) -> NodeStatement | None:
        """One node's statement."""
        row = self._file.row(f"SELECT {_COLUMNS} FROM statements WHERE node_id = ?", (node_id,))  # noqa: S608
        return None if row is None else _statement(row)

    def place(self, node_id: bytes) -> int:
        """How many statements stand before this node's: its place in the sealed file."""
        row = self._file.row("SELECT place FROM statements WHERE node_id = ?", (node_id,))
        if row is None:
            raise KeyError(node_id.hex())
        return int(row[0])

    def beginning_with(self, digits: str, operator: Address | None = None) -> tuple[int, list[NodeId]]:
        """How many nodes have an id that begins with these hex digits, and the first two; among the operator's."""
        first = bytes.fromhex(digits.ljust(64, "0"))
        last = bytes.fromhex(digits.ljust(64, "f"))
        where, values = "node_id BETWEEN ? AND ?", [first, last]
        if operator is not None:
            where, values = f"operator = ? AND {where}", [operator, *values]
        count = self._file.row(f"SELECT count(*) FROM statements WHERE {where}", values)  # noqa: S608
        two = f"SELECT node_id FROM statements WHERE {where} ORDER BY node_id LIMIT 2"  # noqa: S608
        return int(count[0]) if count else 0, [NodeId(node) for (node,) in self._file.rows(two, values)]

    def of_operator(self, operator: Address) -> list[NodeStatement]:
        """An operator's statements by ascending node id."""
        query = f"SELECT {_COLUMNS} FROM statements WHERE operator = ? ORDER BY node_id"  # noqa: S608
        return [_statement(row) for row in self._file.rows(query, (operator,))]

    def page(
        self, *, after: NodeId | None = None, limit: int | None = None, operator: Address | None = None
    ) -> list[NodeStatement]:
        """Statements behind a node id by ascending id, at most `limit`; of all operators or one."""
        where, values = "node_id > ?", [after or b""]
        if operator is not None:
            where, values = f"operator = ? AND {where}", [operator, *values]
        query = f"SELECT {_COLUMNS} FROM statements WHERE {where} ORDER BY node_id LIMIT ?"  # noqa: S608
        return [_statement(row) for row in self._file.rows(query, (*values, -1 if limit is None else limit))]

    def operator_sum(self, operator: Address) -> OperatorSum | None:
        """One operator's sums; None when it has no node here."""
        row = self._file.row("SELECT * FROM operators WHERE operator = ?", (operator,))
        return None if row is None else _sum(row)

    def operator_sums(self, *, after: Address | None = None, limit: int | None = None) -> list[OperatorSum]:
        """Sums behind an operator by ascending address, at most `limit`."""
        query = "SELECT * FROM operators WHERE operator > ? ORDER BY operator LIMIT ?"
        return [_sum(row) for row in self._file.rows(query, (after or b"", -1 if limit is None else limit))]

    def weights(self) -> list[int]:
        """Every weight, by ascending node id."""
        return [int(weight) for (weight,) in self._file.rows("SELECT weight FROM statements ORDER BY node_id")]

    def counts(self) -> tuple[int, int]:
        """How many nodes and how many operators there are."""
        row = self._file.row("SELECT (SELECT count(*) FROM statements), (SELECT count(*) FROM operators)")
        return (0, 0) if row is None else (int(row[0]), int(row[1]))


def statement_index(ledger: Ledger, session: Session, epoch: EpochNumber, attempt: int) -> StatementIndex:
    """The index of a computed epoch's attempt, derived now where there is none.

    NotFoundError before the epoch is computed, MismatchError when the sealed file is not what was recorded.
    """
    key = ("statement index", epoch, attempt)

    def make() -> StatementIndex:
        source = ledger.artefacts.mapped(session, epoch, attempt, "statements")
        name = f"statements-{epoch:08d}-{attempt}"
        build = lambda connection: _build(connection, source)  # noqa: E731
        return StatementIndex(derived_file(ledger.cache, name, (_FORMAT, source.digest), build), source)

    index = ledger.remembered.get(key, make)
    if not index.source.is_unchanged:  # the file it speaks for was touched: nothing is said before it is verified again
        ledger.remembered.forget(key)
        index = ledger.remembered.get(key, make)
    return index


def _build(connection: sqlite3.Connection, source: MappedFile) -> None:
    from ledger.rules.statements import operator_totals, unsealed_statements

    frame = unsealed_statements(bytes(source.view))
    columns = ", ".join(f"{name} {_TYPES.get(name, 'TEXT' if name in _WIDE else 'INTEGER')}" for name in _NAMES)
    connection.execute(f"CREATE TABLE statements (place INTEGER, {columns}, PRIMARY KEY (node_id)) WITHOUT ROWID")
    connection.executemany(
        f"INSERT INTO statements VALUES ({', '.join('?' * (len(_NAMES) + 1))})",  # noqa: S608
        _statement_rows(frame),
    )
    connection.execute("CREATE INDEX owners ON statements (operator, node_id)")
    connection.execute(
        "CREATE TABLE operators (operator BLOB PRIMARY KEY, nodes INTEGER, "
        + ", ".join(f"{name} TEXT" for name in _LINES)
        + ") WITHOUT ROWID"
    )
    nodes = dict(frame.group_by("operator").len().iter_rows())
    connection.executemany(
        "INSERT INTO operators VALUES (?, ?, ?, ?, ?, ?)",
        ((total[0], nodes[total[0]], *map(str, total[1:])) for total in operator_totals(frame)),
    )


def _statement_rows(frame: "pl.DataFrame") -> Iterator[tuple[Any, ...]]:
    wide = [_NAMES.index(name) + 1 for name in _NAMES if name in _WIDE]
    for place, row in enumerate(frame.select(_NAMES).iter_rows()):
        values = [place, *row]
        for at in wide:
            values[at] = str(values[at])
        yield tuple(values)


def _statement(row: tuple[Any, ...]) -> NodeStatement:
    values = dict(zip(_NAMES, row, strict=True))
    for name in _WIDE:
        values[name] = int(values[name])
    return NodeStatement(**values)


def _sum(row: tuple[Any, ...]) -> OperatorSum:
    operator, nodes, *amounts = row
    return OperatorSum(Address(operator), nodes, *(Wei(int(amount)) for amount in amounts))
