"""Statements as a sealed file, as rows and as sums per operator."""

from dataclasses import fields
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from vectors.loader import worked_example

from ledger.model.allocation import NodeStatement
from ledger.model.errors import MismatchError
from ledger.rules.statements import (
    STATEMENT_COLUMNS,
    operator_totals,
    read_statements,
    statement_rows,
    write_statements,
)
from ledger.rules.v1 import allocate


@pytest.fixture(scope="module")
def statements() -> pl.DataFrame:
    golden = worked_example()
    return allocate(golden.evidence, golden.policy, golden.tables, golden.opening).statements


def test_the_columns_are_those_of_a_node_statement(statements: pl.DataFrame) -> None:
    assert dict(statements.schema) == STATEMENT_COLUMNS
    assert statements.columns == [field.name for field in fields(NodeStatement)]


def test_a_sealed_file_reads_back_as_it_was(statements: pl.DataFrame, tmp_path: Path) -> None:
    huge = statements.with_columns(pay_wei=pl.lit(2**104 - 1, dtype=pl.Int128))
    write_statements(huge, tmp_path / "statements.parquet")

    assert_frame_equal(read_statements(tmp_path / "statements.parquet"), huge)


def test_equal_statements_give_equal_bytes_however_they_were_put_together(
    statements: pl.DataFrame, tmp_path: Path
) -> None:
    pieces = pl.concat([statements.head(1), statements.tail(2)], rechunk=False)
    one = write_statements(statements, tmp_path / "one.parquet")
    other = write_statements(pieces, tmp_path / "other.parquet")

    assert one == other
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.parquet", "other.parquet"]


def test_another_reader_sees_the_exact_amounts(statements: pl.DataFrame, tmp_path: Path) -> None:
    write_statements(statements, tmp_path / "statements.parquet")
    found = duckdb.sql(
        f"select pay_wei::varchar, typeof(pay_wei) from '{tmp_path}/statements.parquet' order by node_id"
    ).fetchall()

    assert found[0] == ("721622231880848551330", "DECIMAL(38,0)")


def test_a_file_that_is_no_statements_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not columns")
    pl.DataFrame({"node_id": [b"A"]}).write_parquet(tmp_path / "other.parquet")

    for name in ("text", "other.parquet"):
        with pytest.raises(MismatchError, match="no statements file"):
            read_statements(tmp_path / name)


def test_rows_carry_exact_integers(statements: pl.DataFrame) -> None:
    rows = list(statement_rows(statements))

    assert [row.pay_wei for row in rows] == [721622231880848551330, 94424553082237484005, 79080577108913964665]
    assert all(type(row.weight) is int for row in rows)


def test_operators_are_summed_by_ascending_address(statements: pl.DataFrame) -> None:
    last, first = b"\xff" * 20, b"\x01" * 20
    shared = statements.with_columns(operator=pl.Series([last, first, last], dtype=pl.Binary))
    totals = operator_totals(shared)

    assert [total.operator for total in totals] == [first, last]
    assert totals[1].pay_wei == 721622231880848551330 + 79080577108913964665
    for total in totals:
        assert total.base_wei + total.efficiency_wei + total.green_wei == total.pay_wei
