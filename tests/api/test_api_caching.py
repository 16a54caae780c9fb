"""What a cache may keep: the same bytes have the same tag; only what a final epoch will never change is immutable."""

from typing import Any

import pytest
from http_server import Server

FOR_EVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def values(served: Server) -> dict[str, str]:
    row = served.data("/v1/epochs/0/statements?limit=1")[0]
    return {"operator": row["operator"], "node": row["node_id"]}


@pytest.mark.parametrize(
    ("path", "is_immutable"),
    [
        ("/v1/epochs/0/statements", True),
        ("/v1/epochs/0/statements.csv", True),
        ("/v1/epochs/1/statements", True),
        ("/v1/epochs/0/statements/{node}", True),
        ("/v1/epochs/1/explanations/{node}", True),
        ("/v1/nodes?epoch=1", True),
        ("/v1/certificates?epoch=0", True),
        # a correction may still replace the tree of the last final epoch, but of none before it
        ("/v1/epochs/0/proofs/{operator}", True),
        ("/v1/epochs/1/proofs/{operator}", False),
        ("/v1/epochs/0/allocations", True),
        ("/v1/epochs/1/allocations", False),
        ("/v1/epochs", False),
        ("/v1/epochs/0", False),
        ("/v1/nodes", False),
        ("/v1/operators/{operator}", False),
        ("/v1/operators/{operator}/proof", False),
        ("/v1/journal", False),
    ],
)
def test_only_what_never_changes_again_is_immutable(
    either: Server, values: dict[str, str], path: str, is_immutable: bool
) -> None:
    answer = either.get(path.format(**values))
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == (FOR_EVER if is_immutable else "no-cache")
    again = either.get(path.format(**values))
    assert again.headers["etag"] == answer.headers["etag"]
    assert again.content == answer.content


@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
def test_who_has_the_bytes_gets_none(served: Server, form: str) -> None:
    first = served.get("/v1/epochs/0/statements")
    tag = first.headers["etag"]
    assert tag.startswith('"')  # strong
    again = served.get("/v1/epochs/0/statements", headers={"If-None-Match": form.format(tag=tag)})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert again.headers["cache-control"] == FOR_EVER


def test_who_has_other_bytes_gets_these(served: Server) -> None:
    answer = served.get("/v1/epochs/0/statements", headers={"If-None-Match": '"0123"'})
    assert answer.status_code == 200
    assert answer.content


def test_different_answers_have_different_tags(served: Server) -> None:
    paths = ("/v1/epochs", "/v1/epochs.csv", "/v1/epochs/0", "/v1/epochs/1", "/v1/operators")
    assert len({served.get(path).headers["etag"] for path in paths}) == len(paths)


def test_a_final_answer_speaks_of_the_moment_its_epoch_became_final(served: Server) -> None:
    def standing(path: str) -> dict[str, Any]:
        found: dict[str, Any] = served.get(path).json()["standing"]
        return found

    first, second, now = (standing(f"/v1/{path}") for path in ("epochs/0/statements", "epochs/1/statements", "epochs"))
    assert (first["epoch"], second["epoch"], now["epoch"]) == (0, 1, 1)
    assert first["seq"] < second["seq"] <= now["seq"]
    assert second["head"] == now["head"] != first["head"]


def test_head_has_the_headers_and_no_body(served: Server) -> None:
    import httpx

    answer = httpx.head(served.url + "/v1/epochs")
    whole = served.get("/v1/epochs")
    assert (answer.status_code, answer.content) == (200, b"")
    for name in ("etag", "content-type", "content-length", "link"):
        assert answer.headers[name] == whole.headers[name]


def test_errors_are_never_kept(served: Server) -> None:
    for path in ("/v1/epochs/99", "/v1/nothing", "/v1/epochs?x=1"):
        assert served.get(path).headers["cache-control"] == "no-store"
