"""Pages: walked by their links they are the whole list; a cursor holds for one list with one set of filters."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from http_server import Server


def walk(server: Server, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    pages = 0
    while path:
        answer = server.get(path)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["data"]
        links = dict(re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["link"]))
        by_name = {name: target for target, name in links.items()}
        assert "first" in by_name
        assert ("next" in by_name) == (answer.json()["next"] is not None)
        path = by_name.get("next", "")
        pages += 1
        assert pages < 200
    return rows


@pytest.mark.parametrize(
    "path",
    [
        "/v1/operators",
        "/v1/epochs",
        "/v1/epochs/1/transitions",
        "/v1/epochs/1/statements",
        "/v1/epochs/1/statements?country=NO",
        "/v1/epochs/1/allocations",
        "/v1/nodes",
        "/v1/batches",
        "/v1/batches?epoch=1",
        "/v1/registrations",
        "/v1/refusals",
        "/v1/verifiers",
        "/v1/certificates",
        "/v1/journal",
        "/v1/transfers",
        "/v1/accounts",
        "/v1/chain/transactions",
    ],
)
def test_pages_joined_are_the_whole_list_in_the_same_order(either: Server, path: str) -> None:
    whole = either.get(path + ("&" if "?" in path else "?") + "limit=1000").json()
    assert whole["next"] is None
    joined = walk(either, path + ("&" if "?" in path else "?") + "limit=3")
    assert joined == whole["data"]


def test_a_csv_page_links_to_the_next_csv_page(served: Server) -> None:
    answer = served.get("/v1/transfers.csv?limit=2")
    target = re.search(r'<([^>]*)>; rel="next"', answer.headers["link"])
    assert target is not None
    following = served.get(target[1])
    assert following.headers["content-type"].startswith("text/csv")
    assert following.text.splitlines()[0] == answer.text.splitlines()[0]
    assert following.text != answer.text


def cursor_of(server: Server, path: str) -> str:
    found = server.get(path).json()["next"]
    assert isinstance(found, str)
    return found


def test_a_cursor_is_refused_by_another_list_and_with_other_filters(served: Server) -> None:
    cursor = cursor_of(served, "/v1/batches?limit=1&epoch=1")
    assert served.get(f"/v1/batches?limit=1&epoch=1&cursor={cursor}").status_code == 200
    for path in (f"/v1/batches?cursor={cursor}", f"/v1/batches?epoch=0&cursor={cursor}", f"/v1/epochs?cursor={cursor}"):
        assert served.problem(path) == (422, "cursor.invalid")


def test_a_cursor_with_any_other_byte_is_refused(served: Server) -> None:
    cursor = cursor_of(served, "/v1/transfers?limit=2")
    content = bytearray(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        forged = urlsafe_b64encode(bytes(damaged)).decode().rstrip("=")
        assert served.problem(f"/v1/transfers?limit=2&cursor={forged}") == (422, "cursor.invalid")


@pytest.mark.parametrize("cursor", ["", "x", "%00", "a" * 999, "%F0%9F%92%A9", "W10", "....", "-_-_", "a b"])
def test_what_is_no_cursor_is_refused(served: Server, cursor: str) -> None:
    assert served.problem(f"/v1/operators?cursor={cursor}") == (422, "cursor.invalid")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "1.5", "1e3", ""])
def test_limits_out_of_bounds_are_refused(served: Server, limit: str) -> None:
    assert served.problem(f"/v1/operators?limit={limit}") == (422, "request.invalid")
