"""Every refusal and failure as RFC 9457 `application/problem+json`: a stable code, what was wrong, what to do.

What is wrong on our side says its code and nothing of our machine; the whole of it goes to the log.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from ledger.model.errors import (
    EnvironmentFailure,
    LedgerError,
    NotFoundError,
    RefusedError,
    TransactionFailedError,
    UsageError,
)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 2
_DOCUMENTATION: Final = "GET /openapi.json lists every route, parameter and answer"
_LOG: Final = logging.getLogger("ledger.api")


class HttpError(LedgerError):
    """A request that HTTP itself has a status for."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    retry_after: int | None = None


class CursorInvalidError(HttpError):
    """The cursor is not one of this list with these filters."""

    code = "cursor.invalid"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    default_hint = "leave the cursor out to begin again; use the links of the answer as they are"


class ParameterUnknownError(HttpError):
    """A query parameter that this route does not have."""

    code = "request.unknown-parameter"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    default_hint = _DOCUMENTATION


class ParameterRepeatedError(HttpError):
    """A query parameter that is given more than once."""

    code = "request.repeated-parameter"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    default_hint = "give each parameter once"


class RangeReversedError(HttpError):
    """A range whose end lies before its beginning."""

    code = "request.range"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    default_hint = "exchange the two ends"


class ServerBusyError(HttpError):
    """More is being asked at once than this server answers."""

    code = "server.busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retryable = True
    default_hint = "ask again after the seconds in Retry-After"
    retry_after = RETRY_SECONDS


class Problem(BaseModel):
    """A refusal or a failure (RFC 9457). `code` is stable: program against it, not against the sentences."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str = Field(description="a name for the kind of problem; the code is its last part")
    title: str = Field(description="the kind in a sentence")
    status: int
    code: str = Field(description="stable, `noun.what`", pattern=r"^[a-z-]+\.[a-z0-9-]+$")
    detail: str = Field(description="what was wrong, this time")
    hint: str = Field(description="what to do next")
    errors: list[dict[str, str]] | None = Field(
        default=None, description="each parameter or member that was wrong: `where` and `what`"
    )


def status_of(kind: type[LedgerError]) -> HTTPStatus:
    """The HTTP status a class of the ledger's errors is answered with."""
    if issubclass(kind, HttpError):
        return kind.status
    by_kind: tuple[tuple[type[LedgerError], HTTPStatus], ...] = (
        (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
        (NotFoundError, HTTPStatus.NOT_FOUND),
        (RefusedError, HTTPStatus.CONFLICT),
        (TransactionFailedError, HTTPStatus.BAD_GATEWAY),
        (EnvironmentFailure, HTTPStatus.SERVICE_UNAVAILABLE),
    )
    return next((status for base, status in by_kind if issubclass(kind, base)), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(
    status: HTTPStatus,
    code: str,
    title: str,
    detail: str,
    hint: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response."""
    document: dict[str, Any] = {
        "type": f"urn:ath-ledger:problem:{code}",
        "title": title,
        "status": status.value,
        "code": code,
        "detail": detail,
        "hint": hint,
    }
    if errors is not None:
        document["errors"] = errors
    content = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(content, status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def problem_of(error: LedgerError) -> Response:
    """One of the ledger's errors as a problem. What concerns our machine is logged and not told."""
    status, kind = status_of(type(error)), type(error)
    title = (kind.__doc__ or kind.code).strip().splitlines()[0]
    headers: dict[str, str] = {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE or getattr(error, "retry_after", None) is not None:
        headers["Retry-After"] = str(getattr(error, "retry_after", None) or RETRY_SECONDS)
    if isinstance(error, HttpError) or status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem(status, error.code, title, error.what, error.hint, headers=headers)
    _LOG.error("%s", error)
    hint = "ask again later" if error.retryable else "tell whoever runs this server; its log has the details"
    return problem(status, error.code, title, title, hint, headers=headers)


def add_to(app: FastAPI) -> None:
    """Answer every error of the app as a problem."""
    app.add_exception_handler(LedgerError, _ledger_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def unexpected() -> Response:
    """What a failure nobody foresaw is answered with: no trace, no name of anything inside."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "unexpected.error",
        "Something failed that should not have",
        "the server could not answer this request",
        "tell whoever runs this server; its log has the details",
    )


def too_large_a_head(limit: str) -> Response:
    """What is answered to a request whose address or headers are beyond what is read."""
    return problem(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "http.head-too-large",
        "The address or the headers are too large",
        f"this server reads {limit}",
        "send fewer or shorter headers, and a shorter address",
    )


def unreadable(detail: str) -> Response:
    """What is answered to bytes that are no HTTP/1.1 request."""
    return problem(
        HTTPStatus.BAD_REQUEST,
        "http.malformed",
        "This is no HTTP request",
        detail,
        "percent-encode the address, and send one Content-Length or one Transfer-Encoding",
    )


async def _ledger_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, LedgerError):
        raise error
    return problem_of(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found = [
        {"where": ".".join(str(part) for part in each["loc"]), "what": str(each["msg"])} for each in error.errors()
    ]
    kinds = [str(each["type"]) for each in error.errors()]
    code = kinds[0] if kinds and "." in kinds[0] else "request.invalid"
    detail = "; ".join(f"{each['where']}: {each['what']}" for each in found[:3]) or "the request is not understood"
    title = "The request is not understood"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, code, title, detail, _DOCUMENTATION, errors=found)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    path, headers = request.url.path[:200], dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            found = ("http.not-found", "There is no such route", f"there is nothing at {path}")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            what = f"{path} does not take {request.method}"
            if "GET" in headers.get("Allow", ""):
                headers["Allow"] += ", HEAD"  # the edge answers it wherever there is a GET
            found = ("http.method-not-allowed", "The route does not take this method", what)
        case other:
            found = ("http.refused", HTTPStatus(other).phrase, str(error.detail)[:300])
    return problem(HTTPStatus(error.status_code), *found, _DOCUMENTATION, headers=headers)


async def _unexpected(_request: Request, _error: Exception) -> Response:
    return unexpected()
