"""`ath-ledger audit report` and `audit certificate`: nine sections, both emissions side by side, honest words."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.reporting.wording import FORBIDDEN
from ledger.cli.edge import run

Answer = tuple[int, str, str]
Ask = Callable[..., Answer]
USAGE, NOT_FOUND = 2, 3


@pytest.fixture
def ask(settled_example: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def do(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = run(["audit", *map(str, arguments), "--workspace", str(settled_example)])
        return code, *capsys.readouterr()

    return do


@pytest.fixture
def written(ask: Ask, tmp_path: Path) -> Path:
    """A folder with the report in every form."""
    code, _, err = ask("report", "--epoch", "0", "--format", "all", "--out", tmp_path / "out")
    assert code == 0, err
    return tmp_path / "out"


def tables(written: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((written / "report-0.json").read_text())
    return {table["name"]: table for section in document["sections"] for table in section["tables"]}


def row(table: dict[str, Any], scope: str, name: str = "") -> dict[str, Any]:
    (found,) = [each for each in table["rows"] if (each["scope"], each["name"]) == (scope, name)]
    return dict(found)


def test_norway_is_clean_by_location_and_not_by_market(written: Path) -> None:
    """R6.2: 0.453 kg location-based, 1.040 kg market-based, 90 % matched."""
    found = tables(written)
    norway = row(found["emissions"], "zone", "NO")
    assert (norway["location_ug"], norway["market_ug"]) == ("453035940", "1039864000")
    assert row(found["emissions"], "country", "NO") == norway | {"scope": "country"}
    match = row(found["coverage"], "zone", "NO")["hourly_match"]
    assert match["text"] == "90.08"
    assert 10 * int(match["numerator"]) > 9 * int(match["denominator"])
    text = (written / "report-0.md").read_text()
    assert "| zone | NO | 0.453 | 1.040 |" in text


def test_it_has_the_nine_sections_in_their_order(written: Path) -> None:
    document = json.loads((written / "report-0.json").read_text())
    assert [section["rule"] for section in document["sections"]] == [f"R7.{number}" for number in range(1, 10)]
    for form in ("md", "html"):
        text = (written / f"report-0.{form}").read_text()
        places = [text.index(f". {section['title']} ") for section in document["sections"]]
        assert places == sorted(places)


def test_the_total_is_the_sum_of_its_zones_and_of_its_countries(written: Path) -> None:
    for name, table in tables(written).items():
        sums = [column["name"] for column in table["columns"] if column["unit"] in ("Wh", "µg CO2e", "wei", "ml")]
        if not {"scope", "name"} <= {column["name"] for column in table["columns"]}:
            continue
        total = row(table, "total")
        for scope in ("zone", "country"):
            for column in sums:
                parts = [int(each[column]) for each in table["rows"] if each["scope"] == scope and each[column] != "–"]
                if parts:
                    assert int(total[column]) == sum(parts), (name, column, scope)


def test_both_emissions_stand_in_every_table_that_has_one(written: Path) -> None:
    found = tables(written)
    for name in ("emissions", "market", "liability", "sci"):
        columns = {column["name"] for column in found[name]["columns"]}
        assert {"location_ug", "market_ug"} <= columns, name


def test_offsets_reduce_nothing_and_the_liability_goes_on(written: Path) -> None:
    found = tables(written)
    (owed,) = found["liability"]["rows"]
    assert int(owed["carried_in_ug"]) + int(owed["market_ug"]) - int(owed["paid_for_ug"]) == int(owed["carried_out_ug"])
    assert row(found["market"], "total")["retired_ug"] == "0"
    assert row(found["market"], "zone", "NO")["retired_ug"] == "–"


def test_the_older_annual_figure_stands_beside_the_hourly_one(written: Path) -> None:
    """California's certificates are tier 2: by volume they cover everything, by the hour nothing."""
    california = row(tables(written)["market"], "zone", "US-CAL-CISO")
    assert california["market_annual_ug"] == "0"
    assert int(california["market_ug"]) > 0


def test_what_the_grid_delivers_is_a_line_of_its_own(written: Path) -> None:
    found = tables(written)
    assert "grid_carbon_free" not in {column["name"] for column in found["coverage"]["columns"]}
    assert row(found["grid-carbon-free"], "zone", "NO")["grid_carbon_free"]["text"] == "99.71"


def test_the_budget_adds_up_to_the_wei(written: Path) -> None:
    (told,) = tables(written)["budget"]["rows"]
    spent = sum(int(told[name]) for name in ("operators_wei", "carbon_wei", "reserve_wei", "rollover_out_wei"))
    assert spent == int(told["budget_wei"]) + int(told["rollover_in_wei"]) == 1000 * 10**18
    assert told["conserved"] == "yes"


def test_no_form_says_what_must_not_be_said(written: Path) -> None:
    for file in written.iterdir():
        assert not re.search("|".join(FORBIDDEN), file.read_text(), re.IGNORECASE), file.name


def test_every_table_and_drawing_of_grid_data_names_its_source(written: Path) -> None:
    found = tables(written)
    for name in ("emissions", "market", "grid-carbon-free", "sci"):
        assert "Electricity Maps (ODbL)" in found[name]["attribution"], name
        assert "Our World in Data and Ember (CC-BY)" in found[name]["attribution"], name
        lines = list(csv.DictReader((written / f"report-0-{name}.csv").read_text().splitlines()))
        assert all("Electricity Maps (ODbL)" in line["source"] for line in lines), name


def test_a_rehearsal_says_that_it_is_synthetic(written: Path) -> None:
    for form in ("md", "html", "json"):
        assert "synthetic, not measured" in (written / f"report-0.{form}").read_text()


def test_the_page_needs_nothing_from_elsewhere(written: Path) -> None:
    text = (written / "report-0.html").read_text()
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!#)', text)
    assert "@import" not in text
    assert "url(" not in text
    assert text.count("<svg") == 3
    assert "@media print" in text


def test_csv_carries_exact_integers_and_ratios_as_two_numbers(written: Path) -> None:
    lines = {
        line["name"]: line for line in csv.DictReader((written / "report-0-coverage.csv").read_text().splitlines())
    }
    norway = lines["NO"]
    assert int(norway["hourly_match_numerator"]) == int(norway["matched_wh"])
    assert int(norway["hourly_match_denominator"]) == int(norway["load_wh"])
    numbers = [value for line in lines.values() for name, value in line.items() if name not in ("scope", "name")]
    assert all(re.fullmatch(r"-?\d*", number) for number in numbers)


def test_the_same_epoch_gives_the_same_report(ask: Ask, written: Path) -> None:
    assert ask("report", "--epoch", "0", "--format", "html")[1] == (written / "report-0.html").read_text()


def test_every_certificate_used_is_listed(written: Path) -> None:
    rows = tables(written)["certificates"]["rows"]
    assert len(rows) == 5
    assert sum(int(each["credited_wh"]) for each in rows if each["zone"] == "NO") == 15771
    assert {each["tier"] for each in rows} == {"1", "2"}


def test_one_certificate_is_followed_through_all_claims(ask: Ask) -> None:
    listed = json.loads(ask("report", "--epoch", "0", "--format", "json")[1])
    (certificates,) = [table for section in listed["sections"] for table in section["tables"]
                       if table["name"] == "certificates"]  # fmt: skip
    issuance = certificates["rows"][0]["issuance"]
    code, out, err = ask("certificate", issuance, "-o", "json")
    assert code == 0, err
    (told,) = json.loads(out)["data"]
    assert (told["issuance"], told["verdict"], told["why"]) == (issuance, "credited", "")
    assert told["credited_wh"] == told["claimed_wh"] == told["range_end"] - told["range_start"] + 1
    assert json.loads(ask("certificate", issuance[:10], "-o", "json")[1])["data"] == [told]


@pytest.mark.parametrize(("given", "code"), [("0xffffffffffff", NOT_FOUND), ("zz", USAGE), ("", USAGE)])
def test_a_certificate_nobody_claimed_is_said(ask: Ask, given: str, code: int) -> None:
    assert ask("certificate", given)[0] == code


@pytest.mark.parametrize(
    "arguments",
    [(), ("--epoch", "0", "--from", "0"), ("--from", "1", "--to", "0"), ("--epoch", "0", "--format", "csv")],
)
def test_a_span_that_is_none_is_refused(ask: Ask, arguments: tuple[str, ...]) -> None:
    assert ask("report", *arguments)[0] == USAGE


def test_an_epoch_without_a_result_has_no_report(ask: Ask) -> None:
    code, _, err = ask("report", "--epoch", "3")
    assert (code, "verify.not-sealed" in err) == (NOT_FOUND, True)
