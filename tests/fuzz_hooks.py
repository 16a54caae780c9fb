"""For whoever generates requests to the HTTP API: what a schema cannot say, and what every answer must be.

Loaded by schemathesis (SCHEMATHESIS_HOOKS=fuzz_hooks), which generates everything from the OpenAPI document.
"""

from typing import Any, Final

import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

from ledger.model.units import Address, to_hex
from ledger.tree.keccak import checksum_address

_BYTES = st.binary(min_size=20, max_size=20).map(Address)
BEYOND_SCHEMAS: Final = frozenset({"cursor.invalid", "request.range", "report.too-long", "usage.invalid"})
"""Refusals of what looks right: a cursor of another list, a reversed range, two moments at once, an ambiguous id."""

schemathesis.openapi.format(
    "eip-55-address",
    st.one_of(_BYTES.map(checksum_address), _BYTES.map(to_hex), _BYTES.map(lambda each: "0x" + each.hex().upper())),
)


@schemathesis.check
def what_the_schema_allows_is_answered(_context: Any, response: Any, case: Any) -> None:
    """A request the document allows is not refused as not understood, but for what no schema can say."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE or response.status_code != 422:
        return
    if case.operation.method.upper() == "POST":  # random bytes are no signed evidence
        return
    code = response.json()["code"]
    assert code in BEYOND_SCHEMAS, f"{case.operation.label} refuses what its schema allows: {response.text}"


@schemathesis.check
def every_refusal_is_a_problem(_context: Any, response: Any, case: Any) -> None:
    """An error has its code and no trace; none is ours."""
    if response.status_code < 400 or case.operation.path in ("/readyz",):
        return
    if response.headers["content-type"][0].startswith("text/plain"):  # the parser's word on what is no HTTP at all
        assert response.status_code == 400, response.text
        return
    document = response.json()
    assert document["status"] == response.status_code
    assert {"type", "title", "code", "detail", "hint"} <= document.keys()
    assert response.status_code != 500, response.text
    assert "Traceback" not in response.text
