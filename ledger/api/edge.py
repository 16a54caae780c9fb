"""The outermost layer: who asks and how often, HEAD, and that nothing leaves without its headers.

Plain ASGI, so that a request costs microseconds here.
"""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from ledger.api.limits.rate import Buckets, RateExceededError, client_named
from ledger.api.problems import problem_of, unexpected

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Told = Callable[[str, str, int, float], None]
"""Hears of each answered request: route, method, status, seconds."""

_LEFT: Final = 499
"""What a request counts as whose client went before it was answered."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
EXEMPT: Final = frozenset({"/healthz", "/readyz", "/metrics"})
SUBMISSION_COST: Final = 5
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Link, ETag, Location, Retry-After"),
)
_LOG: Final = logging.getLogger("ledger.api")


class Edge:
    """Wraps the app. `buckets` None: no rate limit."""

    def __init__(self, app: App, *, buckets: Buckets | None, told: Told) -> None:
        self._app, self._buckets, self._told = app, buckets, told

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request, or the app's own start and stop."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, method = time.perf_counter(), str(scope["method"])
        client = client_named(scope["client"][0] if scope.get("client") else "")
        scope["ledger.client"] = client
        answer = _Answer(send, is_head=method == "HEAD")
        if answer.is_head:
            scope = {**scope, "method": "GET"}  # a copy: the server itself has to know that it answers a HEAD
        try:
            wait = await self._wait(scope, client)
            if wait:
                seconds = -(-wait // 1000)
                refusal = problem_of(RateExceededError(f"{client} asks more often than this server allows", seconds))
                await refusal(scope, receive, answer)
            else:
                await self._app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the edge: no stack trace reaches a client
            _LOG.exception("a request failed: %s", type(error).__name__)
            if not answer.status:
                await unexpected()(scope, receive, answer)
        finally:
            known = method if method in _METHODS else "other"
            self._told(_route(scope), known, answer.status or _LEFT, time.perf_counter() - begun)

    async def _wait(self, scope: MutableMapping[str, Any], client: str) -> int:
        if self._buckets is None or scope["path"] in EXEMPT:
            return 0
        return await self._buckets.take(client, SUBMISSION_COST if scope["method"] == "POST" else 1)


class _Answer:
    """Sends on, with the headers every answer has, and without the body a HEAD must not have."""

    __slots__ = ("_send", "is_head", "status")

    def __init__(self, send: Send, *, is_head: bool) -> None:
        self._send, self.is_head, self.status = send, is_head, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        elif self.is_head and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route's template, so that no address or digest becomes a label; one word for all that is none."""
    template = str(getattr(scope.get("route"), "path", ""))
    if not template:
        return "none"
    return template if template in EXEMPT or template == "/openapi.json" else f"/v1{template}"
