"""Numbers no column holds: refused as what they are, a mistake of the caller."""

from typing import Any

import pytest

BEYOND = "99999999999999999999999"


@pytest.mark.parametrize(
    "words",
    [
        ("epoch", "show", BEYOND),
        ("audit", "journal", "--from", BEYOND),
        ("audit", "journal", "--as-of-epoch", BEYOND),
        ("audit", "prove-entry", "--seq", BEYOND, "--out", "proof.json"),
        ("audit", "verify", "--epoch", BEYOND),
        ("rewards", "show", "--epoch", BEYOND),
    ],
)
def test_a_number_beyond_any_column_is_a_usage_error(example: Any, words: tuple[str, ...]) -> None:
    code, out, err = example.do(*words)
    assert (code, out) == (2, "")
    named = " ".join(word for word in words if word.isascii() and word.replace("-", "").isalpha() and word[0] != "-")
    assert err.splitlines()[-1].startswith("usage.invalid: a number is beyond any this ledger has")
    assert err.splitlines()[-1].endswith(f"Next: ath-ledger {named.removesuffix(' proof.json')} --help")
