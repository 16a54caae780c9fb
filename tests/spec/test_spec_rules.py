"""The specification and what cites it stay together: rule numbers exist once, codes exist, figures are the code's."""

import re
from collections import Counter
from pathlib import Path

from ledger.evidence.items.typed_data import ATTESTATION_BATCH, NODE_REGISTRATION, REVOCATION, Schema
from ledger.model import reasons
from ledger.model.policy import POLICY_FIELDS
from ledger.model.refusals import REFUSALS

ROOT = Path(__file__).parents[2]
PAGES = ("rewards.md", "encodings.md")
CITING = (
    *(ROOT / "ledger").rglob("*.py"),
    *(ROOT / "tests").rglob("*.py"),
    *(ROOT / "contracts" / "src").rglob("*.sol"),
    *(ROOT / "docs").rglob("*.md"),
)


def page(name: str) -> str:
    return (ROOT / "docs" / "spec" / name).read_text(encoding="utf-8")


def defined() -> Counter[str]:
    return Counter(rule for name in PAGES for rule in re.findall(r"\*\*([RE]\d\.\d+)\b", page(name)))


def test_every_rule_is_defined_once() -> None:
    rules = defined()
    assert len(rules) > 100
    assert {rule: count for rule, count in rules.items() if count > 1} == {}


def test_every_cited_rule_exists() -> None:
    rules = defined()
    missing = {
        f"{path.relative_to(ROOT)}: {rule}"
        for path in CITING
        for rule in re.findall(r"\b([RE]\d\.\d+)\b", path.read_text(encoding="utf-8"))
        if rule not in rules
    }
    assert missing == set()


def test_every_refusal_code_the_specification_names_is_registered() -> None:
    named = set(re.findall(r"`([a-z]+\.[a-z]+(?:-[a-z]+)*)`", page("rewards.md")))
    assert len(named) > 40
    assert named - REFUSALS.keys() == set()


def test_every_code_acceptance_can_give_is_named_by_the_specification() -> None:
    """Codes of files that could not be read are the senders' reference, not the specification's."""
    text = page("rewards.md")
    unnamed = {code for code in REFUSALS if not code.startswith("file.") and f"`{code}`" not in text}
    assert unnamed == set()


def test_every_reason_of_a_statement_is_a_registered_code() -> None:
    codes = {value for name, value in vars(reasons).items() if name.isupper()}
    assert codes - REFUSALS.keys() == set()
    text = page("rewards.md")
    listed = text[text.index("**R4.24") : text.index("### Properties")]
    assert set(re.findall(r"`([a-z]+\.[a-z-]+)`", listed)) == codes


def test_every_policy_parameter_has_its_row() -> None:
    rows = re.findall(r"^  \| ([a-zA-Z0-9]+) \|", page("rewards.md"), flags=re.MULTILINE)
    snake = [re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in rows]
    assert [name for name in snake if name in POLICY_FIELDS] == list(POLICY_FIELDS)


def test_the_typed_data_is_the_code_s() -> None:
    """E2.2 prints the types that are signed."""
    text = page("encodings.md")
    for struct in (NODE_REGISTRATION, ATTESTATION_BATCH, REVOCATION, *(schema.struct for schema in Schema)):
        assert f"\n  {struct.type_string}\n" in text
