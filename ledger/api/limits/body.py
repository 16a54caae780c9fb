"""Reading a request's body: bounded in bytes, in time and in how many are read at once, as it streams in.

`Content-Length` is a promise, so the bytes are counted. Encoded bodies are refused: a gzip bomb is never unpacked.
"""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from fastapi import Request

from ledger.api.problems import HttpError, ServerBusyError

GRACE_SECONDS: Final = 20
BYTES_PER_SECOND: Final = 32 * 1024
"""How slowly a body may come in, after the grace."""
MEDIA_TYPES: Final = ("application/octet-stream", "application/json", "application/vnd.apache.parquet")


class BodyTooLargeError(HttpError):
    """The body is larger than a submission may be."""

    code = "body.too-large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_hint = "split the records over several batches"


class BodySlowError(HttpError):
    """The body came in too slowly."""

    code = "body.slow"
    status = HTTPStatus.REQUEST_TIMEOUT
    retryable = True
    default_hint = "send it again over a faster line; a second time is harmless"


class BodyEncodedError(HttpError):
    """The body is compressed or otherwise encoded."""

    code = "body.encoding"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    default_hint = "send the file's own bytes, without Content-Encoding"


class BodyTypeError(HttpError):
    """The body is of a type that is not taken here."""

    code = "body.type"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    default_hint = f"name one of {', '.join(MEDIA_TYPES)} in Content-Type"


class BodyReader:
    """Reads bodies for one process, within a budget of bytes that are held at once."""

    def __init__(self, *, limit: int, budget: int) -> None:
        self._limit, self._budget, self._held = limit, budget, 0

    async def read(self, request: Request) -> bytes:
        """The whole body. BodyTypeError, BodyEncodedError, BodyTooLargeError, BodySlowError, ServerBusyError."""
        self._check_headers(request)
        parts: list[bytes] = []
        size = 0
        try:
            async for part in _timely(request.stream()):
                size += len(part)
                if size > self._limit:
                    raise BodyTooLargeError(f"the body is larger than {self._limit} bytes")
                self._held += len(part)
                parts.append(part)
                if self._held > self._budget:
                    raise ServerBusyError("other bodies are being read")
            return b"".join(parts)
        finally:
            self._held -= sum(map(len, parts))

    def _check_headers(self, request: Request) -> None:
        kind = request.headers.get("content-type", MEDIA_TYPES[0]).partition(";")[0].strip().lower()
        if kind not in MEDIA_TYPES:
            raise BodyTypeError(f"a body of type {kind[:100]!r} is not taken here")
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding != "identity":
            raise BodyEncodedError(f"the body is encoded as {encoding[:100]!r}")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._limit:
            raise BodyTooLargeError(f"the body is {length[:20]} bytes; at most {self._limit} are taken")


async def _timely(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The stream's parts, as long as they come fast enough."""
    loop = asyncio.get_running_loop()
    begun, size = loop.time(), 0
    while True:
        deadline = begun + GRACE_SECONDS + size // BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(deadline):
                part = await anext(stream, None)
        except TimeoutError as error:
            raise BodySlowError(f"{size} bytes came in {int(loop.time() - begun)} seconds") from error
        if part is None:
            return
        size += len(part)
        yield part
