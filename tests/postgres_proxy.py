"""A proxy in front of PostgreSQL that cuts connections at a COMMIT: before it, while nobody answers it, or after it."""

import random
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from sqlalchemy import make_url

Cut = Literal["before", "during", "after"]
SHARE: Final = 0.4
"""Of the COMMITs, how many are cut."""
_COMMIT = b"COMMIT\x00"
"""As a simple query sends it."""
_CHUNK = 1 << 16


@dataclass(slots=True)
class PostgresProxy:
    """Listens on a port of its own while its block runs. `cut` says what happens to some COMMITs, drawn from a seed."""

    server_url: str
    cut: Cut | None = None
    commits: int = 0
    cuts: int = 0
    _draw: random.Random = field(default_factory=random.Random, init=False, repr=False)
    _listening: socket.socket = field(init=False, repr=False)
    _threads: list[threading.Thread] = field(default_factory=list, init=False, repr=False)
    _open: list[socket.socket] = field(default_factory=list, init=False, repr=False)

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._open:
            _close(each)
        for thread in self._threads:
            thread.join(timeout=5)

    def begin(self, cut: Cut, seed: int) -> None:
        """From now on cut, as the seed draws it; `cut = None` ends it."""
        self._draw.seed(seed)
        self.cut = cut

    @property
    def url(self) -> str:
        """The address through the proxy."""
        port = self._listening.getsockname()[1]
        return (
            make_url(self.server_url).set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        )

    def _start(self, work: object, *values: object) -> None:
        thread = threading.Thread(target=work, args=values, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
                server = self._reach()
            except OSError:
                return
            self._open += [client, server]
            cutting = threading.Event()
            self._start(self._to_server, client, server, cutting)
            self._start(self._to_client, client, server, cutting)

    def _reach(self) -> socket.socket:
        url = make_url(self.server_url)
        folder, port = str(url.query.get("host", "")), url.port or 5432
        if folder:
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.{port}")
            return server
        return socket.create_connection((url.host or "127.0.0.1", port))

    def _to_server(self, client: socket.socket, server: socket.socket, cutting: threading.Event) -> None:
        while piece := _received(client):
            if _COMMIT in piece:
                self.commits += 1
                if self.cut is not None and self._draw.random() < SHARE:
                    self.cuts += 1
                    if self.cut == "before":
                        break
                    cutting.set()
            if not _sent(server, piece):
                break
            if cutting.is_set():
                return  # the other direction sees the answer, and ends both
        _close(client)
        _close(server)

    def _to_client(self, client: socket.socket, server: socket.socket, cutting: threading.Event) -> None:
        while piece := _received(server):
            if cutting.is_set() and self.cut == "during":
                break  # committed, and nobody is told
            if not _sent(client, piece) or cutting.is_set():
                break
        _close(client)
        _close(server)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_CHUNK)
    except OSError:
        return b""


def _sent(connection: socket.socket, piece: bytes) -> bool:
    try:
        connection.sendall(piece)
    except OSError:
        return False
    return True


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
