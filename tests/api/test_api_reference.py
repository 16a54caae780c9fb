"""docs/reference/http.md and the examples say what the server does: no route, parameter, code or limit is missing."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from http_server import Server

from ledger.api.examples import kept_examples
from ledger.api.limits import body, connections
from ledger.api.parameters import DEFAULT_LIMIT, MAX_LIMIT
from ledger.api.problems import HttpError
from ledger.steps.intake.entitled import JSON_BYTES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "http.md").read_text("utf-8")


@pytest.fixture(scope="module")
def document(served: Server) -> dict[str, Any]:
    found: dict[str, Any] = served.get("/openapi.json").json()
    return found


def told_routes(document: dict[str, Any]) -> Iterator[str]:
    """Each line of the page's table, as the document has it."""
    paths = document["paths"]
    for path, methods in paths.items():
        if path.endswith(".csv") and path.removesuffix(".csv") in paths:
            continue
        for method, operation in methods.items():
            names = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
            filters = ", ".join(f"`{name}`" for name in names if name not in ("cursor", "limit"))
            twin = " (+ `.csv`)" if f"{path}.csv" in paths else ""
            yield f"| `{method.upper()} {path}`{twin} | {operation['summary']} | {filters} |"


def test_the_page_lists_every_route_with_its_parameters(document: dict[str, Any]) -> None:
    on_the_page = [line for line in PAGE.splitlines() if re.match(r"\| `(GET|POST) /", line)]
    assert on_the_page == list(told_routes(document))


def test_the_page_names_every_code_of_the_api() -> None:
    def codes(kind: type[HttpError]) -> Iterator[str]:
        for below in kind.__subclasses__():
            yield below.code
            yield from codes(below)

    table = PAGE[PAGE.index("## Errors") : PAGE.index("## Limits")]
    named = set(re.findall(r"`([a-z-]+\.[a-z-]+)`", table))
    assert set(codes(HttpError)) <= named
    others = {"request.invalid", "address.invalid", "http.not-found", "http.method-not-allowed", "unexpected.error"}
    assert others <= named


def test_the_page_states_the_limits_that_hold() -> None:
    assert f"1 to {MAX_LIMIT:,}; {DEFAULT_LIMIT} if not given" in PAGE
    assert f"{connections.MOST_OF_ONE} in each process; headers within {connections.HEADER_SECONDS} s" in PAGE
    assert f"{body.GRACE_SECONDS} s and then {body.BYTES_PER_SECOND // 1024} KiB/s" in PAGE
    assert f"JSON up to {JSON_BYTES // 2**20} MiB" in PAGE


def test_the_document_is_openapi_3_1_and_knows_no_other_error_than_our_problem(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for operation in operations:
        for status, told in operation["responses"].items():
            if int(status) >= 400 and operation["operationId"] != "show_ready":
                assert list(told["content"]) == ["application/problem+json"], (operation["operationId"], status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_json_answer_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    components = {"components": document["components"]}
    seen = 0
    for path, methods in document["paths"].items():
        for operation in methods.values():
            told = operation["responses"].get("200") or operation["responses"]["202"]
            content = told.get("content", {}).get("application/json")
            if content is None or not path.startswith("/v1"):
                continue
            assert "example" in content, path
            jsonschema_rs.validate({**content["schema"], **components}, content["example"])
            seen += 1
    assert seen == len(kept_examples())


@pytest.mark.slow
def test_the_examples_are_what_the_worked_example_answers() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "http_examples.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
