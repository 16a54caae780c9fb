"""One client's connections: so many at once, headers within seconds, and answers that are really read.

uvicorn waits for headers for ever, and for a reader that never reads; a handful of such clients would take every
descriptor a server has.
"""

import asyncio
import logging
import socket
import struct
from asyncio.events import TimerHandle
from collections import Counter
from http import HTTPStatus
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ledger.api.limits.rate import client_named
from ledger.api.limits.seldom import Seldom
from ledger.api.problems import too_large_a_head, unreadable

HEADER_SECONDS: Final = 10
REQUEST_SECONDS: Final = 300
"""How long a whole request may take to come in, trailers and all."""
HEADER_BYTES: Final = 64 * 1024
"""What address, headers and trailers of one request may hold together."""
HEADER_FIELDS: Final = 100
READ_SECONDS: Final = 60
MOST_OF_ONE: Final = 128
"""Connections one client may hold open at once in one process."""
_LOG: Final = logging.getLogger("ledger.api.connections")
_LOG.addFilter(Seldom())


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with a limit for waiting. `trusted` peers are proxies: their connections are many people's."""

    trusted: ClassVar[frozenset[str]] = frozenset()
    _open: ClassVar[Counter[str]] = Counter()
    _header_timer: TimerHandle | None = None
    _reader_timer: TimerHandle | None = None
    _unread: int = 0
    _head_bytes: int = 0
    _head_fields: int = 0
    _is_past_headers: bool = False
    _counted: str | None = None

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger = _LOG

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless its client has too many."""
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        if host not in self.trusted:
            self._counted = client_named(host)
            self._open[self._counted] += 1
            if self._open[self._counted] > MOST_OF_ONE:
                transport.abort()
                return
        self._await_headers()
        self._reader_timer = self.loop.call_later(READ_SECONDS, self._check_reader)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._counted is not None:
            self._open[self._counted] -= 1
            if not self._open[self._counted]:
                del self._open[self._counted]
            self._counted = None
        self._stop_waiting()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins: its headers have to come soon."""
        super().on_message_begin()
        self._head_bytes, self._head_fields, self._is_past_headers = 0, 0, False
        self._await_headers()

    def on_url(self, url: bytes) -> None:
        """The address, or a part of it."""
        if self._has_room(len(url)):
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which nobody here reads."""
        self._head_fields += 1
        if self._has_room(len(name) + len(value)) and not self._is_past_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """They came; now the rest of the request has to."""
        self._stop_waiting()
        self._is_past_headers = True
        self._header_timer = self.loop.call_later(REQUEST_SECONDS, self._give_up)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it came."""
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or more of it than is read, gets a problem as well, and the connection ends."""
        limit = f"{HEADER_FIELDS} headers, and {HEADER_BYTES} bytes of them and the address together"
        response = unreadable(msg) if self._fits else too_large_a_head(limit)
        fields = b"".join(b"%b: %b\r\n" % field for field in response.raw_headers)
        status = HTTPStatus(response.status_code)
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + fields + b"connection: close\r\n\r\n"
        self.transport.write(head + bytes(response.body))
        self.transport.close()

    @property
    def _fits(self) -> bool:
        return self._head_bytes <= HEADER_BYTES and self._head_fields <= HEADER_FIELDS

    def _has_room(self, size: int) -> bool:
        self._head_bytes += size
        if self._fits:
            return True
        if self._is_past_headers:  # trailers: the request is being answered, perhaps
            self.transport.abort()
            return False
        raise ValueError("more than is read")  # ends the parser, which leads to `send_400_response`

    def _await_headers(self) -> None:
        self._stop_waiting()
        self._header_timer = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _check_reader(self) -> None:
        """Every minute: bytes that waited all of it, unread, are not going to be read."""
        waiting: Any = self.transport.get_write_buffer_size()
        if waiting and waiting == self._unread:
            self._cut_off()
            return
        self._unread = waiting
        self._reader_timer = self.loop.call_later(READ_SECONDS, self._check_reader)

    def _cut_off(self) -> None:
        """End the connection at once, and drop what the system still holds for it."""
        plain = self.transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
