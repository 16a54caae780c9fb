"""`ath-ledger serve`: the HTTP API over a workspace."""

from typing import Annotated

import typer

from ledger.cli.shared.opening import WorkspaceOption, workspace_at
from ledger.cli.shared.output import talk


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0 for all")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one")] = 8420,
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes that answer")] = 1,
    workspace: WorkspaceOption = None,
) -> None:
    """Answer questions about the ledger over HTTP and take signed evidence in, until stopped.

    Reading is open to everybody who reaches it; what is sent in carries its own signature. Put a proxy with TLS before
    it where it is reached from outside. Stopping it anywhere loses nothing.
    """
    from ledger.api.serving import listen, serve_until_stopped

    place = workspace_at(workspace)
    place.open(read_only=True).close()  # fail here, clearly, rather than in each worker
    with listen(host, port) as socket:
        talk(f"serving {place.root} at http://{host}:{socket.getsockname()[1]}/v1 with {workers} processes")
        serve_until_stopped(place, socket, workers=workers)
    talk("stopped")
