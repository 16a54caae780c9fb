"""Running the server: one socket, one or more processes on it, a clean stop."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess

from ledger.api.app import WORKSPACE_VARIABLE
from ledger.model.errors import EnvironmentFailure
from ledger.telemetry.serving import SHARED_FOLDER
from ledger.workspace import Workspace

STOP_SECONDS = 10
"""How long requests that are being answered may take when the server stops."""
KEEP_ALIVE_SECONDS = 20
BACKLOG = 1024


class PortTakenError(EnvironmentFailure):
    """The address cannot be listened on."""

    code = "serve.address"
    retryable = False
    default_hint = "name another --port or --host, or stop what listens there"


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; port 0 for a free one. PortTakenError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortTakenError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    with listener:
        listener.set_inheritable(True)
        yield listener


def serve_until_stopped(place: Workspace, listener: socket.socket, *, workers: int) -> None:
    """Serve the workspace with so many processes until SIGTERM or SIGINT."""
    os.environ[WORKSPACE_VARIABLE] = str(place.root.resolve())
    config = Config(
        "ledger.api.app:from_environment",
        factory=True,
        workers=workers,
        http="ledger.api.limits.connections:PatientProtocol",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(place.settings.http_trusted_proxies),
        forwarded_allow_ips=place.settings.http_trusted_proxies or None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        backlog=BACKLOG,
    )
    if workers == 1:
        Server(config).run(sockets=[listener])
        return
    with TemporaryDirectory(prefix="ath-ledger-metrics-") as shared:
        os.environ[SHARED_FOLDER] = shared  # before a child imports what counts
        Multiprocess(config, sockets=[listener]).run()
