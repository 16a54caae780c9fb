"""Reports over several epochs of a ledger whose vault retired carbon; every claim on a certificate; a real browser."""

import csv
import hashlib
import json
import re
import shutil
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.audit.reporting.wording import FORBIDDEN
from ledger.chain.local.anvil import stop_detached
from ledger.cli.edge import run
from ledger.demo.network import DemoNetwork
from ledger.model.units import EpochNumber
from ledger.rehearsal import Rehearsal

EPOCHS: Final = tuple(map(EpochNumber, range(3)))
CERTIFICATE: Final = json.dumps(
    {"project": "Katingan Peatland <b>", "serials": ["VCS-1477-0001", "VCS-1477-0002"]}
).encode()
HASH: Final = "0x" + hashlib.sha256(CERTIFICATE).hexdigest()
SUPPLIER: Final = "0x00000000000000000000000000000000000c0ffe"
URI: Final = "https://registry.example/c5?say=carbon-neutral"


@pytest.fixture(scope="module")
def retired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three epochs of a small network; on the third day some of the first one's carbon was retired."""
    root = tmp_path_factory.mktemp("retired") / "ledger"
    rehearsal = Rehearsal.create(root, DemoNetwork(nodes=12, operators=4))
    ledger = rehearsal.deploy(lambda _step: None)
    rehearsal.register(ledger)
    first, second, third = EPOCHS
    rehearsal.attest(ledger, first)
    rehearsal.attest(ledger, second)
    list(rehearsal.settle(ledger, first))
    rehearsal.finish(ledger)
    grams, payment = worth(root)
    keys = ("--keystore", f"{root}/keys/retirer.json", "--password-file", f"{root}/keys/password")
    assert run(["chain", "account", "retirer", "--workspace", str(root)]) == 0
    retire = ["carbon", "retire", "--grams", str(grams), "--payment", str(payment), "--supplier", SUPPLIER]
    retire += ["--certificate-hash", HASH, "--uri", URI, *keys, "--broadcast", "--workspace", str(root)]
    assert run(retire) == 0
    rehearsal.attest(ledger, third)
    for epoch in (second, third):
        list(rehearsal.settle(ledger, epoch))
    rehearsal.finish(ledger)
    ledger.close()
    stop_detached(root / "chain")
    return root


def worth(root: Path) -> tuple[int, int]:
    """A third of what was paid for, in grams, and its price in wei."""
    from ledger.steps.vault import vault_standing
    from ledger.workspace import Workspace

    ledger = Workspace.at(root).open(read_only=True)
    try:
        (found,) = vault_standing(ledger).epochs
    finally:
        ledger.close()
    grams = found.chain.paid_for_ug // 3 // 10**6
    return grams, grams * found.price_wei_per_tonne // 10**6


def ask(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["audit", *words, "--workspace", str(root)])
    return code, *capsys.readouterr()


def report(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> dict[str, dict[str, Any]]:
    code, out, err = ask(capsys, root, "report", *words, "--format", "json")
    assert code == 0, err
    return {table["name"]: table for section in json.loads(out)["sections"] for table in section["tables"]}


def test_a_retirement_stands_in_a_column_of_its_own_and_reduces_nothing(
    retired: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, without = (
        report(capsys, retired, "--from", "0", "--to", "2"),
        report(capsys, retired, "--from", "0", "--to", "1"),
    )
    (told,) = whole["retirements"]["rows"]
    assert int(told["retired_ug"]) > 0
    assert int(told["payment_wei"]) > 0
    assert (told["supplier"], told["certificate"], told["uri"]) == (SUPPLIER, HASH, URI)
    assert re.fullmatch(r"0x[0-9a-f]{64}", told["transaction"])
    assert (told["project"], told["serials"]) == ("not on file", "not on file")
    assert without["retirements"]["rows"] == []
    total, parts = whole["market"]["rows"][0], [report(capsys, retired, "--epoch", str(epoch)) for epoch in EPOCHS]
    assert total["retired_ug"] == told["retired_ug"]
    assert {row["retired_ug"] for row in whole["market"]["rows"][1:]} == {"–"}
    for name in ("location_ug", "market_ug"):
        assert int(total[name]) == sum(int(part["market"]["rows"][0][name]) for part in parts)
    assert [part["market"]["rows"][0]["retired_ug"] for part in parts] == ["0", "0", told["retired_ug"]]


def test_the_liability_is_carried_from_epoch_to_epoch(retired: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = report(capsys, retired, "--from", "0", "--to", "2")["liability"]["rows"]
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    for before, after in pairwise(rows):
        assert after["carried_in_ug"] == before["carried_out_ug"]
    for row in rows:
        owed = int(row["carried_in_ug"]) + int(row["market_ug"])
        assert owed - int(row["paid_for_ug"]) == int(row["carried_out_ug"]) >= 0


def test_project_and_serials_are_quoted_from_the_certificate_with_that_hash(
    retired: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(retired, tmp_path / "ledger"))
    papers = root / "retirements"
    papers.mkdir()
    (papers / "other.json").write_bytes(CERTIFICATE + b" ")
    (told,) = report(capsys, root, "--epoch", "2")["retirements"]["rows"]
    assert told["project"] == "not on file"
    (papers / "c5.json").write_bytes(CERTIFICATE)
    (told,) = report(capsys, root, "--epoch", "2")["retirements"]["rows"]
    assert (told["project"], told["serials"]) == ("Katingan Peatland <b>", "VCS-1477-0001, VCS-1477-0002")
    assert "Katingan Peatland &lt;b&gt;" in ask(capsys, root, "report", "--epoch", "2", "--format", "html")[1]


def test_the_ledgers_own_words_claim_nothing_even_where_strangers_do(
    retired: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ask(capsys, retired, "report", "--from", "0", "--to", "2")[1]
    assert URI in text
    assert not re.search("|".join(FORBIDDEN), text.replace(URI, ""), re.IGNORECASE)
    assert "Offsets retired, never netted" in text
    assert re.search(r"\*\*matched \d+\.\d\d % hourly\*\*", text)


def test_csv_and_json_carry_the_same_retirement(
    retired: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert ask(capsys, retired, "report", "--epoch", "2", "--format", "all", "--out", str(tmp_path))[0] == 0
    (line,) = csv.DictReader((tmp_path / "report-2-retirements.csv").read_text().splitlines())
    (told,) = report(capsys, retired, "--epoch", "2")["retirements"]["rows"]
    assert (line["retired_ug"], line["payment_wei"]) == (told["retired_ug"], told["payment_wei"])
    wei, ug = int(told["payment_wei"]), int(told["retired_ug"])
    assert int(line["price_numerator"]) * ug * 10**18 == int(line["price_denominator"]) * wei * 10**12


def test_a_certificate_is_followed_through_every_epoch_and_never_counts_twice(
    retired: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Certificates that somebody claimed again in a later epoch: credited once, refused with its code after that."""
    listed = report(capsys, retired, "--from", "0", "--to", "2")["certificates"]["rows"]
    used = Counter[str]()
    for issuance in sorted({row["issuance"] for row in listed}):
        code, out, err = ask(capsys, retired, "certificate", issuance, "-o", "json")
        assert code == 0, err
        rows = json.loads(out)["data"]
        assert [row["epoch"] for row in rows] == sorted(row["epoch"] for row in rows)
        used.update(row["verdict"] for row in rows)
        ids = [each for row in rows for each in range(row["range_start"], row["range_end"] + 1, 10**3)]
        assert sum(row["credited_wh"] for row in rows) <= max(ids) + 10**3 - min(ids)
        told = [row for row in listed if row["issuance"] == issuance]
        assert sum(int(row["credited_wh"]) for row in told) == sum(row["credited_wh"] for row in rows)
        for row in rows:
            assert row["credited_wh"] == 0 or row["verdict"] != "refused"
            assert bool(row["why"]) or row["verdict"] == "credited"
        used["issuances"] += 1
        used["used"] += any("certificate.used" in row["why"] for row in rows)
        if used["used"] and used["issuances"] > 7:
            break
    assert used["credited"] > 0
    assert used["used"] > 0


@pytest.fixture(scope="module")
def page(retired: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    words = ["audit", "report", "--from", "0", "--to", "2", "--format", "html", "--out", str(folder)]
    assert run([*words, "--workspace", str(retired)]) == 0
    return folder / "report-0-2.html"


def chromium(*options: str) -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    command = [found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_a_browser_shows_the_whole_page(page: Path) -> None:
    shown = chromium("--dump-dom", page.as_uri())
    assert shown.count("<section ") == 9
    assert shown.count("<svg ") == 3
    assert SUPPLIER in shown
    assert not re.search(r"<(script|link|img|iframe)\b", shown)


@pytest.mark.slow
def test_a_browser_prints_it_on_pages_of_a4(page: Path, tmp_path: Path) -> None:
    place = tmp_path / "report.pdf"
    chromium(f"--print-to-pdf={place}", "--no-pdf-header-footer", page.as_uri())
    content = place.read_bytes()
    assert content.startswith(b"%PDF-")
    boxes = {tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox \[([^\]]+)\]", content)}
    assert len(boxes) == 1
    _, _, width, height = boxes.pop()
    assert (round(width), round(height)) == (842, 595)  # landscape, points


@pytest.mark.slow
def test_nothing_sticks_out_of_the_page_on_a_screen(page: Path, tmp_path: Path) -> None:
    """The page says of itself, in the browser, how wide it is and how wide it wants to be."""
    probe = tmp_path / "probe.html"
    script = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    probe.write_text(page.read_text().replace("</body>", script))
    for width in (1280, 700):
        shown = chromium("--dump-dom", f"--window-size={width},900", probe.as_uri())
        told = re.search(r"<title>(\d+) of (\d+)</title>", shown)
        assert told is not None
        assert int(told[1]) <= int(told[2]), width
