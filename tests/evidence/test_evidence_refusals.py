"""The registry of refusal codes is complete, and every code of evidence is provoked by a test."""

import re
from pathlib import Path

import pytest

import ledger
from ledger.model.errors import InvariantError
from ledger.model.refusals import REFUSALS, RefusalScope, check_registered, refused

PACKAGE = Path(ledger.__file__).parent
FAMILIES = sorted({code.partition(".")[0] for code in REFUSALS})
CODE = re.compile(rf'"((?:{"|".join(FAMILIES)})\.[a-z0-9-]+)"')
OF_THE_RULES = ("quorum.", "energy.", "capacity.", "grid.missing", "grid.no-residual-mix", "grid.estimated")


def codes_in(*folders: Path) -> set[str]:
    texts = (path.read_text() for folder in folders for path in folder.rglob("*.py"))
    return {code for text in texts for code in CODE.findall(text)}


def test_every_code_in_the_evidence_and_the_rules_is_registered() -> None:
    used = codes_in(PACKAGE / "evidence", PACKAGE / "rules")
    assert used <= set(REFUSALS)


def test_every_registered_code_of_evidence_is_used_and_provoked_by_a_test() -> None:
    own = {code for code in REFUSALS if not code.startswith(OF_THE_RULES)}
    assert own <= codes_in(PACKAGE / "evidence")
    tests = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    provoked = {code for path in tests for code in re.findall(r"[a-z]+\.[a-z0-9-]+", path.read_text())}
    assert own - provoked == set()


def test_every_code_has_a_meaning_a_remedy_and_a_rule() -> None:
    for code, refusal in REFUSALS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z0-9]+(-[a-z0-9]+)*", code)
        assert refusal.code == code
        assert refusal.meaning
        assert refusal.remedy
        assert (refusal.rule == 0) == (refusal.scope is RefusalScope.FILE)
        assert refusal.rule <= 9


def test_an_unregistered_code_stops_the_ledger_instead_of_refusing() -> None:
    with pytest.raises(InvariantError, match=r"no\.such"):
        refused("no.such", "what")
    with pytest.raises(InvariantError, match=r"no\.such"):
        check_registered(["", "batch.gap", "no.such"])


def test_a_refusal_says_code_what_and_what_to_do() -> None:
    error = refused("batch.gap", "sequence 3")
    assert str(error) == f"batch.gap: sequence 3. Next: {REFUSALS['batch.gap'].remedy}"
    assert error.exit_code == 7
