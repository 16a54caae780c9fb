"""A stranger's JSON is measured before it is parsed: no document may end the process."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.tree.abi import EncodingError
from ledger.tree.canonical import MAX_NESTING, integer_of, is_nested_too_deeply, parse_canonical

TEXTS = st.text(alphabet='[]{}"\\ax', max_size=8)
VALUES = st.recursive(
    TEXTS | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def wrapped(value: Any, levels: int) -> Any:
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.integers(0, MAX_NESTING + 4))
def test_depth_is_measured_as_a_parser_would_see_it(value: Any, levels: int) -> None:
    document = wrapped(value, levels)
    assert is_nested_too_deeply(json.dumps(document).encode()) == (depth(document) > MAX_NESTING)


@pytest.mark.parametrize(
    "document",
    [b"[" * 1000, b'{"a":' * 1000, b"[" * 1000 + b"]" * 1000, b"[{" * 100, b'["' + b'\\"' * 9 + b'",' + b"[" * 100],
)
def test_brackets_without_end_are_refused(document: bytes) -> None:
    assert is_nested_too_deeply(document)
    with pytest.raises(EncodingError):
        parse_canonical(document)


def test_a_deep_document_does_not_kill_a_process_with_a_high_recursion_limit() -> None:
    """Libraries raise the limit to 100,000; the parser would then overrun the stack."""
    program = (
        "import sys; sys.setrecursionlimit(100_000)\n"
        "from ledger.evidence.items.json_values import parse_json\n"
        "from ledger.model.refusals import ItemRefusedError\n"
        "try: parse_json(b'[' * 200_000)\n"
        "except ItemRefusedError as error: print(error.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "file.truncated\n"), done.stderr


def test_numbers_of_thousands_of_digits_are_refused_not_read() -> None:
    with pytest.raises(EncodingError):
        parse_canonical(b"1" * 5000)
    with pytest.raises(EncodingError):
        integer_of("1" * 5000)
