"""What is wrong with a row: the table, the row, the column, and both values."""

from collections.abc import Iterable, Iterator
from typing import Any

from ledger.audit.comparison import Difference, shown


def unequal(row: str, expected: dict[str, Any], found: Any) -> Iterator[Difference]:
    """Each column of a row that is not as derived; `row` names table and key."""
    for column, value in expected.items():
        stored = getattr(found, column)
        if stored != value:
            yield Difference(where=f"{row} · {column}", expected=shown(value), found=shown(stored))


def absent(row: str) -> Difference:
    """A row that must be there."""
    return Difference(where=row, expected="a row", found="absent")


def foreign(row: str, why: str) -> Difference:
    """A row that nothing accounts for."""
    return Difference(where=row, expected="no row", found=why)


def gaps(table: str, what: str, numbers: Iterable[int], first: int) -> Iterator[Difference]:
    """Where numbers that count without gaps do not."""
    for wanted, number in enumerate(sorted(numbers), start=first):
        if number != wanted:
            yield Difference(where=f"{table} · {what}", expected=str(wanted), found=str(number))
            return
