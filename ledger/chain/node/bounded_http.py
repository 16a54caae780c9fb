"""The `requests` session behind `transport`: one deadline for a whole answer, and a bound on its size."""

import http.client
import io
import socket
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from ledger.chain.node import bounds
from ledger.chain.node.bounds import deadline

CONNECT_SECONDS: Final = 10.0
_PIECE: Final = 2**18


def bounded_session() -> requests.Session:
    """A session whose answers are whole, small enough and in time, or an error."""
    session = requests.Session()
    session.mount("http://", _Adapter())
    session.mount("https://", _Adapter())
    return session


class _TimedSocket(io.RawIOBase):
    """What an answer is read from: every read has what is left of the whole answer's time."""

    def __init__(self, own: socket.socket) -> None:
        self._socket = own
        self._file = own.makefile("rb", 0)  # keeps the socket open when the connection lets go of it

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(deadline.remaining())
        return self._file.readinto(buffer) or 0

    def makefile(self, *_mode: Any) -> io.BufferedReader:
        """As an answer asks its socket."""
        return io.BufferedReader(self, 2**16)

    def close(self) -> None:
        self._file.close()
        super().close()


def _timed_response(own: socket.socket, *rest: Any, **options: Any) -> http.client.HTTPResponse:
    return http.client.HTTPResponse(_TimedSocket(own), *rest, **options)  # type: ignore[arg-type]


class _TimedHTTP(HTTPConnection):
    response_class = staticmethod(_timed_response)  # type: ignore[assignment]


class _TimedHTTPS(HTTPSConnection):
    response_class = staticmethod(_timed_response)  # type: ignore[assignment]


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _TimedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedHTTPS


class _Adapter(HTTPAdapter):
    """Also through a proxy the environment names: its pools are made here too."""

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: Any, *_unused: Any, **options: Any) -> requests.Response:
        remaining = deadline.remaining()
        options |= {"timeout": (min(CONNECT_SECONDS, remaining), remaining), "stream": True}
        answer: requests.Response = super().send(request, **options)
        pieces, size = [], 0
        for piece in answer.iter_content(_PIECE):
            size += len(piece)
            if size > bounds.LARGEST_ANSWER:
                answer.close()
                raise bounds.AnswerTooLargeError
            pieces.append(piece)
        answer._content = b"".join(pieces)  # noqa: SLF001 - as `requests` itself keeps what it has read
        return answer


_POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}
