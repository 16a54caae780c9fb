"""Examples for the documentation: what the specification's worked example really answers, route by route.

`scripts/http_examples.py` asks a server over that ledger and keeps the answers; a test holds the two together.
"""

import json
from importlib.resources import files
from typing import Any, Final

PLACE: Final = ("data", "http_examples.json")
LONGEST_LIST: Final = 2
"""Rows an example shows."""


def kept_examples() -> dict[str, Any]:
    """The answers by operation id."""
    found: dict[str, Any] = json.loads(files("ledger").joinpath(*PLACE).read_text("utf-8"))
    return found


def add_examples(document: dict[str, Any]) -> None:
    """Put each example to its route in an OpenAPI document."""
    kept = kept_examples()
    for methods in document["paths"].values():
        for operation in methods.values():
            example = kept.get(operation["operationId"])
            if example is None:
                continue
            for status in ("200", "202"):
                for content in operation["responses"].get(status, {}).get("content", {}).values():
                    content["example"] = example


def shortened(answer: Any) -> Any:
    """An answer with at most a few rows in each list of things, so that people read it."""
    if isinstance(answer, dict):
        return {name: shortened(value) for name, value in answer.items()}
    if isinstance(answer, list):
        kept = answer[:LONGEST_LIST] if any(isinstance(each, dict) for each in answer) else answer
        return [shortened(each) for each in kept]
    return answer
