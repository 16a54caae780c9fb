"""`/metrics` of a process that serves nothing else: a worker, or `run`.

Imports nothing that counts: the processes a worker forks count together only if the folder they share is named before.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from ledger.model.errors import EnvironmentFailure

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Set before prometheus_client is imported, it makes the processes of one service count together, in files there."""
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PATIENCE_SECONDS: Final = 10


class PortTakenError(EnvironmentFailure):
    """Nobody can be served at this address."""

    code = "metrics.port"
    retryable = False
    default_hint = "choose another --metrics-port"


@contextmanager
def metrics_served(port: int, render: Callable[[], bytes], *, host: str = "127.0.0.1") -> Iterator[int]:
    """Serve `render()` as `/metrics` while the block runs; the port, which was chosen if `port` is 0.

    Begin the block before anything that counts is imported, if the processes it forks are to be counted too.
    Raises PortTakenError.
    """
    with tempfile.TemporaryDirectory(prefix="ath-ledger-metrics-") as folder:
        given = os.environ.get(SHARED_FOLDER)
        if "prometheus_client" not in sys.modules:  # else it has chosen to count for its own process already
            os.environ.setdefault(SHARED_FOLDER, folder)
        try:
            server = _Server((host, port), _handler(render))
        except OSError as error:
            raise PortTakenError(f"{host}:{port} cannot be listened at: {error.strerror}") from error
        threading.Thread(target=server.serve_forever, name="ledger-metrics", daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            server.server_close()
            if given is None:
                os.environ.pop(SHARED_FOLDER, None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hangs up, or a look that fails, is told so by the missing answer."""


def _handler(render: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Scrape(BaseHTTPRequestHandler):
        timeout = _PATIENCE_SECONDS
        server_version, sys_version = "ath-ledger", ""

        def do_GET(self) -> None:
            """The metrics, and nothing else."""
            if self.path.split("?")[0] != "/metrics":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            text = render()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", _TYPE)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: Any) -> None:
            """Scrapes are no news."""

    return Scrape
