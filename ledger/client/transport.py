"""HTTP to one server: questions are asked again where that is harmless, everything is bounded, problems are raised."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import httpx

from ledger.client.errors import ServerUnreachableError, error_of

TIMEOUT_SECONDS: Final = 30.0
_TRIES: Final = 4
_BUSY: Final = frozenset({429, 503})
_LONGEST_PAUSE: Final = 10.0
_Data = TypeVar("_Data")
Parameter = str | int | None


@dataclass(frozen=True, slots=True)
class Fact(Generic[_Data]):
    """One thing, and the standing of the ledger it speaks of."""

    standing: Mapping[str, Any] | None
    data: _Data


class Pages(Generic[_Data]):
    """A list: iterating asks for one page after the other."""

    def __init__(self, ask: Callable[[str | None], dict[str, Any]]) -> None:
        self._ask = ask
        self._first: dict[str, Any] | None = None

    @property
    def standing(self) -> Mapping[str, Any] | None:
        """The standing of the ledger that the first page speaks of."""
        return cast("Mapping[str, Any] | None", self._begin()["standing"])

    def __iter__(self) -> Iterator[_Data]:
        page = self._begin()
        while True:
            yield from page["data"]
            if page["next"] is None:
                return
            page = self._ask(page["next"])

    def _begin(self) -> dict[str, Any]:
        if self._first is None:
            self._first = self._ask(None)
        return self._first


class Transport:
    """One server's address, with the connection kept open."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, pause: Callable[[float], None]) -> None:
        # `serve` names its address with the version, which every path here has already
        self._client = httpx.Client(
            base_url=url.rstrip("/").removesuffix("/v1"),
            timeout=timeout_seconds,
            headers={"Accept-Encoding": "identity"},  # an answer is as large as it says
        )
        self._pause = pause

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def fact(self, path: str, parameters: Mapping[str, Parameter]) -> Fact[Any]:
        """Ask for one thing."""
        answer = self._asked("GET", path, parameters)
        return Fact(answer["standing"], answer["data"])

    def document(self, path: str, parameters: Mapping[str, Parameter]) -> Any:
        """Ask for a document that is its own envelope."""
        return self._asked("GET", path, parameters)

    def pages(self, path: str, parameters: Mapping[str, Parameter]) -> Pages[Any]:
        """Ask for a list; nothing is asked before it is read."""
        return Pages(lambda cursor: self._asked("GET", path, {**parameters, "cursor": cursor}))

    def post(self, path: str, content: bytes, media_type: str) -> dict[str, Any]:
        """Hand in a file's bytes; the same bytes twice are harmless, so it is tried again too."""
        return self._asked("POST", path, {}, content=content, headers={"Content-Type": media_type})

    def _asked(self, method: str, path: str, parameters: Mapping[str, Parameter], **given: Any) -> dict[str, Any]:
        wanted = {name: value for name, value in parameters.items() if value is not None}
        for left in reversed(range(_TRIES)):
            try:
                response = self._client.request(method, path, params=wanted, **given)
            except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as error:
                if left and isinstance(error, httpx.TransportError):
                    self._pause(0.2 * (_TRIES - left))
                    continue
                place = self._client.base_url.netloc.decode() or str(self._client.base_url)
                raise ServerUnreachableError(f"{place} does not answer ({type(error).__name__})") from error
            if response.status_code in _BUSY and left:
                self._pause(_seconds(response))
                continue
            return _answer(response)
        raise AssertionError("the last try answers or raises")


def patiently(seconds: float) -> None:
    """Wait: the pause of a client that talks to a real server."""
    time.sleep(seconds)


def _seconds(response: httpx.Response) -> float:
    told = response.headers.get("Retry-After", "")
    return min(float(told), _LONGEST_PAUSE) if told.isdecimal() else 1.0


def _answer(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except (ValueError, RecursionError) as error:
        document = None
        if response.is_success:
            raise ServerUnreachableError(f"{response.url.host} answers something that is no JSON") from error
    if isinstance(document, dict) and response.is_success and document.keys() & {"data", "format"}:
        return document
    if isinstance(document, dict) and "code" in document:
        raise error_of(response.status_code, document)
    raise ServerUnreachableError(f"{response.url.host} answers {response.status_code} and no ledger's answer")
