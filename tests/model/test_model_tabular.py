"""A CSV list says what the JSON list says, and runs nothing in a spreadsheet."""

import csv
import io

from ledger.model.tabular import as_csv

COLUMNS = ("name", "amount_wei", "is_final", "count", "nothing", "root")


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_values_are_those_of_json() -> None:
    row = {"name": "a, b", "amount_wei": -(10**20), "is_final": False, "count": 7, "nothing": None, "root": b"\x01\xff"}
    assert rows_of(as_csv([row], COLUMNS)) == [list(COLUMNS), ["a, b", str(-(10**20)), "false", "7", "", "0x01ff"]]


def test_the_columns_are_named_also_where_there_is_no_row() -> None:
    assert rows_of(as_csv([], COLUMNS)) == [list(COLUMNS)]


def test_a_strangers_words_are_no_formula_and_a_negative_amount_stays_a_number() -> None:
    words = ["=1+1", "@SUM(A1)", "+x", "-x", "-12", "–", "\tx"]
    assert [cell for (cell,) in rows_of(as_csv([{"w": word} for word in words], ["w"]))[1:]] == [
        "'=1+1",
        "'@SUM(A1)",
        "'+x",
        "'-x",
        "-12",
        "–",
        "'\tx",
    ]
