"""Where two results of one epoch first differ: which row, which column, both values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ledger.model.allocation import NodeStatement, Totals
from ledger.model.header import EpochHeader, Manifest
from ledger.tree.abi import EncodingError
from ledger.tree.canonical import parse_canonical

_Key = TypeVar("_Key", bound=bytes)
_Record = Totals | NodeStatement | Manifest | EpochHeader

STATEMENT_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(NodeStatement))
TOTALS_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Totals))
ABSENT = "absent"
"""Shown for a row that one side lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is not what it should be."""

    where: str
    """A row, and where it has columns, one of them: `node 0x41… · pay_wei`."""
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


def first_difference_of_totals(expected: Totals, found: Totals) -> Difference | None:
    """The first total that differs, in the order of `Totals`; None when all agree."""
    return _first_of(TOTALS_COLUMNS, f"totals of epoch {expected.epoch}", as_row(expected), as_row(found))


def first_difference(
    expected: Iterable[NodeStatement], found: Iterable[NodeStatement | Mapping[str, object]]
) -> Difference | None:
    """The first statement row and column that differ, rows by ascending node id; None when all agree.

    Found rows may be mappings with the columns of `NodeStatement` (rows of a stored file). A node that
    one side lacks, or has twice, is a difference; so is a column that a found row lacks.
    """
    expected_rows, found_rows = _by_node(expected), _by_node(found)
    for node in sorted(expected_rows.keys() | found_rows.keys()):
        left, right = expected_rows.get(node, []), found_rows.get(node, [])
        if len(left) != 1 or len(right) != 1:
            return Difference(where=_name(node), expected=_count(left), found=_count(right))
        difference = _first_of(STATEMENT_COLUMNS, _name(node), left[0], right[0])
        if difference is not None:
            return difference
    return None


def first_difference_of_amounts(
    what: str, expected: Mapping[_Key, int], found: Sequence[tuple[_Key, int]]
) -> Difference | None:
    """The first key (an operator's address), ascending, whose amount differs, is missing, or appears twice."""
    listed: dict[_Key, list[int]] = {}
    for key, amount in found:
        listed.setdefault(key, []).append(amount)
    for key in sorted(expected.keys() | listed.keys()):
        wanted = [expected[key]] if key in expected else []
        if wanted != listed.get(key, []):
            where = f"{what} of 0x{key.hex()}"
            return Difference(where=where, expected=_listing(wanted), found=_listing(listed.get(key, [])))
    return None


def first_difference_of_rows(what: str, expected: Sequence[Any], found: Sequence[Any]) -> Difference | None:
    """The first row and column in which two lists of one kind of dataclass differ; their order counts."""
    for number, (left, right) in enumerate(zip(expected, found, strict=False)):
        for name in left.__dataclass_fields__:
            wanted, stored = getattr(left, name), getattr(right, name)
            if wanted != stored:
                where = f"{what} · row {number} · {name}"
                return Difference(where=where, expected=shown(wanted), found=shown(stored))
    if len(expected) != len(found):
        number = min(len(expected), len(found))
        rows = [shown_row(each[number]) if len(each) > number else ABSENT for each in (expected, found)]
        return Difference(where=f"{what} · row {number}", expected=rows[0], found=rows[1])
    return None


def first_difference_in_fields(what: str, expected: _Record, found: _Record) -> Difference | None:
    """The first field of two manifests or two headers that differs, in hashing order."""
    columns = tuple(field.name for field in fields(expected))
    return _first_of(columns, what, _fields_of(expected), _fields_of(found))


def first_difference_of_documents(what: str, expected: bytes, found: bytes) -> Difference | None:
    """The first member in which two canonical JSON documents differ; the first byte if `found` is none."""
    if expected == found:
        return None
    try:
        path, left, right = _first_member("", parse_canonical(expected), parse_canonical(found))
    except EncodingError:
        at = next((at for at, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), None)
        at = min(len(expected), len(found)) if at is None else at
        where = f"{what} · byte {at}"
        return Difference(where=where, expected=shown(expected[at : at + 8]), found=shown(found[at : at + 8]))
    return Difference(where=f"{what} · {path}", expected=left, found=right)


def as_row(value: Totals | NodeStatement | Mapping[str, object]) -> Mapping[str, object]:
    """A result's columns by name."""
    if isinstance(value, Mapping):
        return value
    return _fields_of(value)


def shown(value: object) -> str:
    """A value as a report prints it: bytes as hex, text in quotes."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return repr(value)


def shown_row(row: Any) -> str:
    """A row of a detail file in a line."""
    return ", ".join(f"{name} {shown(getattr(row, name))}" for name in row.__dataclass_fields__)[:400]


def _fields_of(value: _Record) -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _first_member(path: str, expected: object, found: object) -> tuple[str, str, str]:
    """Where two unequal JSON values first differ, by ascending key, and both values there."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            if key not in expected or key not in found:
                sides = [repr(side[key]) if key in side else ABSENT for side in (expected, found)]
                return f"{path}{key}", sides[0], sides[1]
            if expected[key] != found[key]:
                return _first_member(f"{path}{key}.", expected[key], found[key])
    return path.rstrip("."), repr(expected), repr(found)


def _first_of(
    columns: Sequence[str], name: str, expected: Mapping[str, object], found: Mapping[str, object]
) -> Difference | None:
    for column in columns:
        where = f"{name} · {column}"
        if column not in found:
            return Difference(where=where, expected=shown(expected[column]), found=ABSENT)
        if expected[column] != found[column] or type(expected[column]) is not type(found[column]):
            return Difference(where=where, expected=shown(expected[column]), found=shown(found[column]))
    return None


def _by_node(rows: Iterable[NodeStatement | Mapping[str, object]]) -> dict[bytes, list[Mapping[str, object]]]:
    grouped: dict[bytes, list[Mapping[str, object]]] = {}
    for row in map(as_row, rows):
        node = row.get("node_id")
        grouped.setdefault(node if isinstance(node, bytes) else b"", []).append(row)
    return grouped


def _name(node: bytes) -> str:
    return f"node 0x{node.hex()}"


def _count(rows: Sequence[object]) -> str:
    match len(rows):
        case 0:
            return ABSENT
        case 1:
            return "one row"
        case count:
            return f"{count} rows"


def _listing(amounts: Sequence[int]) -> str:
    return " and ".join(map(str, amounts)) if amounts else ABSENT
