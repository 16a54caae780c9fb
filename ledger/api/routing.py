"""Making routes: each list has a CSV twin, and each route says what it answers and how it refuses."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from fastapi import APIRouter, Response

from ledger.api.answering import Fact, Listing, Shape
from ledger.api.problems import MEDIA_TYPE, Problem
from ledger.model.tabular import CSV

Endpoint = Callable[..., Coroutine[Any, Any, Response]]
UNCHANGED: Final[Mapping[int | str, dict[str, Any]]] = {304: {"description": "You have these bytes already."}}
_REASONS: Final = {
    404: "There is no such thing here.",
    409: "A rule, the policy or the state says no.",
    422: "The request is not understood: a parameter is unknown, malformed or out of bounds.",
    429: "This client asks too often, or for too much at once.",
    500: "Something here does not hold; nothing is told that could be wrong.",
    503: "The database or the chain does not answer, or too much is asked at once.",
}


def refusals(*extra: int) -> dict[int | str, dict[str, Any]]:
    """The problems a route may answer with, for its documentation."""
    return {status: refusal(_REASONS[status]) for status in sorted({422, 429, 500, 503, *extra})}


def refusal(description: str) -> dict[str, Any]:
    """One problem for a route's documentation."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": problem_schema()}}}


def problem_schema() -> dict[str, Any]:
    """A reference to the problem's shape."""
    return {"$ref": f"#/components/schemas/{Problem.__name__}"}


def fact_route(
    router: APIRouter, path: str, endpoint: Endpoint, shape: type[Shape], example: Any = None, *refused: int
) -> None:
    """Serve one thing at a path."""
    content = {} if example is None else {"application/json": {"example": example}}
    told: dict[str, Any] = {"model": Fact[shape], "content": content}  # type: ignore[valid-type]
    answer_route(router, path, endpoint, told, {**UNCHANGED, **refusals(404, *refused)})


def list_route(
    router: APIRouter, path: str, endpoint: Endpoint, shape: type[Shape], example: Any = None, *refused: int
) -> None:
    """Serve a list at a path, and the same as CSV at the path with `.csv`."""
    content = {} if example is None else {"application/json": {"example": example}}
    link = {"description": "RFC 8288: `first`, and `next` where more rows follow.", "schema": {"type": "string"}}
    told: dict[str, Any] = {"headers": {"Link": link}}
    others = {**UNCHANGED, **refusals(*refused)}
    as_json = {**told, "model": Listing[shape], "content": content}  # type: ignore[valid-type]
    answer_route(router, path, endpoint, as_json, others)
    as_csv = {**told, "content": {CSV.partition(";")[0]: {"schema": {"type": "string"}}}}
    answer_route(router, path, endpoint, as_csv, others, suffix=".csv")


def answer_route(
    router: APIRouter,
    path: str,
    endpoint: Endpoint,
    told: dict[str, Any],
    others: Mapping[int | str, dict[str, Any]],
    *,
    suffix: str = "",
) -> None:
    """Serve an endpoint that makes its own response: described by its docstring, `told` and its `others` statuses."""
    router.add_api_route(
        path + suffix,
        endpoint,
        methods=["GET"],
        response_class=Response,
        response_model=None,
        responses={200: {"description": _sentence(endpoint), **told}, **others},
        summary=_sentence(endpoint) + (" As CSV." if suffix else ""),
        operation_id=endpoint.__name__ + suffix.replace(".", "_"),
    )


def _sentence(endpoint: Endpoint) -> str:
    return (endpoint.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").strip()
