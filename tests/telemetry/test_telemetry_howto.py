"""The pages an operator is sent to: each is there, speaks of its codes, and every code and command in it exists."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
import yaml

from ledger.model.howto import page_of, pages
from ledger.model.refusals import REFUSALS

ROOT = Path(__file__).parents[2]
HOWTO = ROOT / "docs" / "howto"
PAGES = sorted(page.name for page in HOWTO.glob("*.md"))
_CODE = r"[a-z]+(?:-[a-z]+)*\.[a-z]+(?:-[a-z]+)*"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    place = importlib.util.spec_from_file_location("error_reference", ROOT / "scripts" / "error_reference.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def codes(reference: ModuleType) -> set[str]:
    return {each.code for each in reference.classes()} | set(REFUSALS) | set(reference.FINDINGS)


def test_the_reference_of_codes_is_what_the_program_has(reference: ModuleType) -> None:
    assert reference.PAGE.read_text() == reference.text(), "run: python scripts/error_reference.py"
    assert reference.INDEX.read_text() == reference.index(), "run: python scripts/error_reference.py"


def test_every_code_an_operator_can_meet_is_explained(reference: ModuleType) -> None:
    text = reference.PAGE.read_text() + "".join((HOWTO / page).read_text() for page in PAGES)
    met = {each.code for each in reference.classes() if each.exit_code in {1, 4, 5, 6, 7}} | set(REFUSALS)
    assert len(met) > 150
    assert sorted(code for code in met if f"`{code}`" not in text) == []


def findings_in_sources() -> set[str]:
    """Codes the checks give by `broken(...)`, `beware(...)` or `Finding(code=...)`, wherever they stand."""
    found = set()
    places = (ROOT / "ledger" / "steps" / "checkup", ROOT / "ledger" / "cli" / "service")
    for file in (file for place in places for file in place.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                given = node.args[:1] if node.func.id in {"broken", "beware"} else []
                given += [each.value for each in node.keywords if each.arg == "code" and node.func.id == "Finding"]
                found |= {each.value for each in given if isinstance(each, ast.Constant)}
    return found


def test_every_finding_of_the_doctor_is_explained_and_has_a_page(codes: set[str]) -> None:
    found = findings_in_sources()
    assert {"clock.behind", "settle.stuck", "treasury.balance", "environment.os"} <= found
    assert sorted(found - codes) == []
    assert sorted(each for each in found if not page_of(each)) == []


def test_every_page_speaks_of_its_codes_and_every_one_of_them_exists(codes: set[str]) -> None:
    for page, about in pages().items():
        text = (HOWTO / page).read_text()
        assert [code for code in about if code not in text] == [], page
        assert [code for code in about if code not in codes] == [], page


def test_the_index_names_every_page(reference: ModuleType) -> None:
    by_symptom = reference.INDEX.read_text().split("## By code")[0]
    assert [page for page in PAGES if page != "README.md" and f"({page})" not in by_symptom] == []


def test_every_alert_names_a_page_that_exists() -> None:
    document = yaml.safe_load((ROOT / "docs" / "reference" / "alerts.yaml").read_text())
    for rule in document["groups"][0]["rules"]:
        assert (ROOT / rule["annotations"]["runbook_url"]).is_file(), rule["alert"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_leads_only_to_what_exists(page: str, codes: set[str]) -> None:
    text = (HOWTO / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert target.startswith("http") or (HOWTO / target).is_file(), target
    for message in re.findall(rf"^({_CODE}): ", text, re.MULTILINE):
        assert message in codes, message


def commands() -> Any:
    from ledger.cli.app import app

    return typer.main.get_command(app)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_a_page_exists_with_its_options(page: str) -> None:
    text = (HOWTO / page).read_text().replace("\\\n", " ")
    spoken = re.findall(r"`(ath-ledger [^`]+)`", text.replace("\n   ", " ").replace("\n", " "))
    shown = re.findall(r"^ *(ath-ledger .+)$", text, re.MULTILINE)
    for line in (*spoken, *shown):
        unquoted = re.sub(r'"[^"]*"', "TEXT", line)
        command, words = commands(), re.split(r" [|>]|\$\(|;", unquoted)[0]
        rest = shlex.split(words.replace("…", ""), posix=True)[1:]
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        assert not getattr(command, "commands", {}) or rest == [], f"{page}: {line}"
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
        used = {word.split("=")[0] for word in rest if word.startswith("-")}
        assert used <= known, f"{page}: {line}: {sorted(used - known)}"
