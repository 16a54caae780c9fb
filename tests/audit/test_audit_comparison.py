"""A comparison names the first row and column that differ, and both values."""

from dataclasses import fields, replace

import pytest
from vectors.loader import golden_epochs

from ledger.audit.calculator import Recomputation, recompute
from ledger.audit.comparison import (
    as_row,
    first_difference,
    first_difference_of_amounts,
    first_difference_of_totals,
)
from ledger.model.allocation import NodeStatement, Totals


@pytest.fixture(scope="module")
def result() -> Recomputation:
    epoch = golden_epochs()[0]
    return recompute(epoch.evidence, epoch.policy, epoch.tables, epoch.opening)


def changed(value: object) -> object:
    match value:
        case int():
            return value + 1
        case bytes():
            return bytes([value[0] ^ 1]) + value[1:]
        case str():
            return value + "?"
    raise AssertionError(value)


def test_equal_results_have_no_difference(result: Recomputation) -> None:
    assert first_difference(result.statements, result.statements) is None
    assert first_difference(result.statements, [as_row(row) for row in reversed(result.statements)]) is None
    assert first_difference_of_totals(result.totals, result.totals) is None


@pytest.mark.parametrize("column", [field.name for field in fields(NodeStatement)])
def test_any_changed_cell_of_a_statement_is_named(result: Recomputation, column: str) -> None:
    first, second, third = result.statements
    before = getattr(second, column)
    forged = replace(second, **{column: changed(before)})
    difference = first_difference(result.statements, [first, forged, third])
    assert difference is not None
    if column == "node_id":
        assert difference.expected == "one row" or difference.found == "one row"
    else:
        assert difference.where == f"node 0x{second.node_id.hex()} · {column}"
        assert difference.expected != difference.found


@pytest.mark.parametrize("column", [field.name for field in fields(Totals)])
def test_any_changed_total_is_named(result: Recomputation, column: str) -> None:
    forged = replace(result.totals, **{column: changed(getattr(result.totals, column))})
    difference = first_difference_of_totals(result.totals, forged)
    assert difference is not None
    assert difference.where.endswith(f"· {column}")


def test_a_missing_a_strange_and_a_doubled_row_are_differences(result: Recomputation) -> None:
    first, second, third = result.statements
    missing = first_difference(result.statements, [first, third])
    assert missing is not None
    assert (missing.expected, missing.found) == ("one row", "absent")
    strange = first_difference([first, third], result.statements)
    assert strange is not None
    assert (strange.expected, strange.found) == ("absent", "one row")
    doubled = first_difference(result.statements, [first, second, second, third])
    assert doubled is not None
    assert doubled.found == "2 rows"


def test_a_row_that_lacks_a_column_is_a_difference(result: Recomputation) -> None:
    row = {name: value for name, value in as_row(result.statements[0]).items() if name != "weight"}
    difference = first_difference(result.statements[:1], [row])
    assert difference is not None
    assert difference.where.endswith("· weight")
    assert difference.found == "absent"


def test_the_first_difference_is_the_one_of_the_lowest_node(result: Recomputation) -> None:
    forged = [replace(row, pay_wei=row.pay_wei + 1) for row in reversed(result.statements)]
    difference = first_difference(result.statements, forged)
    assert difference is not None
    assert difference.where.startswith(f"node 0x{min(row.node_id for row in result.statements).hex()}")


def test_amounts_are_compared_by_their_key() -> None:
    expected = {b"\x01": 5, b"\x02": 7}
    assert first_difference_of_amounts("leaf", expected, [(b"\x02", 7), (b"\x01", 5)]) is None
    moved = first_difference_of_amounts("leaf", expected, [(b"\x01", 4), (b"\x02", 8)])
    assert str(moved) == "leaf of 0x01: expected 5, found 4"
    doubled = first_difference_of_amounts("leaf", expected, [(b"\x01", 5), (b"\x01", 5), (b"\x02", 7)])
    assert str(doubled) == "leaf of 0x01: expected 5, found 5 and 5"
    missing = first_difference_of_amounts("leaf", expected, [(b"\x01", 5)])
    assert str(missing) == "leaf of 0x02: expected 7, found absent"
