"""Figures without a float, words that are kept, and cells that stay what they are."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.audit.reporting.document import Bar, Column, Drawing, Report, Section, Table
from ledger.audit.reporting.drawing import svg
from ledger.audit.reporting.exact import Ratio, Unit, decimal, text_of
from ledger.audit.reporting.machine import as_csv, as_json
from ledger.audit.reporting.markdown import markdown
from ledger.audit.reporting.page import page
from ledger.audit.reporting.wording import check_words
from ledger.model.errors import InvariantError
from ledger.model.tabular import harmless


def report_with(text: str, *, cell: str = "") -> Report:
    table = Table(name="t", title="A table", columns=(Column(name="c", heading="C"),), rows=[[cell]])
    return Report(
        title="T", period="P", headline=[], facts=[], sections=[Section(rule="R7.1", title=text, tables=[table])]
    )


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**30), st.integers(0, 18))
def test_a_shown_quotient_is_the_nearest_one(numerator: int, denominator: int, places: int) -> None:
    shown = decimal(numerator, denominator, places).replace(",", "")
    whole, _, part = shown.lstrip("-").partition(".")
    scaled = int(whole + part) * (-1 if shown.startswith("-") else 1)
    assert 2 * abs(scaled * denominator - numerator * 10**places) <= denominator


def test_wei_are_shown_to_the_last_one() -> None:
    assert text_of(721622231880848551330, Unit.WEI) == "721.62223188084855133"
    assert text_of(10**18, Unit.WEI) == "1"
    assert text_of(0, Unit.WEI) == "0"
    assert text_of(1_234_567 * 10**18, Unit.WEI) == "1,234,567"


def test_what_cannot_be_divided_is_unknown() -> None:
    assert Ratio.of(1, 0) is None
    assert text_of(Ratio.of(0, 0), Unit.SHARE) == "unknown"


@pytest.mark.parametrize(
    "claim",
    ["We are carbon neutral", "carbon-neutral", "CARBON  NEUTRAL", "net zero", "100 % renewable", "100% green power",
     "100.00 percent carbon-free", "climate-neutral"],
)  # fmt: skip
def test_a_report_that_claims_too_much_is_not_made(claim: str) -> None:
    with pytest.raises(InvariantError, match=r"R7\.10"):
        check_words(report_with(claim))


def test_what_others_wrote_is_quoted_not_judged() -> None:
    check_words(report_with("Energy", cell="https://supplier.example/carbon-neutral"))


def test_a_strangers_text_stays_in_its_cell() -> None:
    hostile = "<script>x</script>|`b`\nnew | line =1"
    shown = page(report_with("Energy", cell=hostile))
    assert "<script" not in shown
    (line,) = [line for line in markdown(report_with("Energy", cell=hostile)).splitlines() if "script" in line]
    assert line.count("|") - line.count("\\|") == 2
    assert "<script" not in line
    assert harmless("=1+1") == "'=1+1"
    assert harmless("–") == "–"
    assert "'=cmd" in as_csv(report_with("Energy", cell="=cmd"))["t"]
    assert json.loads(as_json(report_with("Energy", cell=hostile)))["sections"][0]["tables"][0]["rows"] == [
        {"c": hostile}
    ]


def test_bars_are_as_long_as_their_values_say() -> None:
    bars = [Bar(label="<a>", value=100), Bar(label="b", value=50, filled=25), Bar(label="c", value=0)]
    drawn = svg(Drawing(title="D & E", bars=bars))
    assert 'width="430"' in drawn
    assert 'width="215"' in drawn
    assert 'width="107"' in drawn
    assert "&lt;a&gt;" in drawn
    assert "D &amp; E" in drawn


def test_sums_are_of_any_size() -> None:
    """Network sums leave 64 bits; polars must not wrap them."""
    from ledger.audit.reporting.scopes import _SUMS, _node_rows

    wide = {name: [2**62] * 4 for name in _SUMS}
    frame = pl.DataFrame(
        {"node_id": [b"a"] * 4, "zone": ["Z"] * 4, "country": ["NO"] * 4, "gpu_count": [1] * 4, **wide}
    )
    (row,) = _node_rows(frame)
    assert row["load_wh"] == 2**64
