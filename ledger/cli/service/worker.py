"""`ath-ledger worker`: one of any number of workers on one ledger, on this machine or another."""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.shared.opening import WorkspaceOption, workspace_at
from ledger.cli.shared.output import talk

if TYPE_CHECKING:
    from ledger.workspace import Workspace


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("worker")(worker)


def worker(
    workspace: WorkspaceOption = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="processes that work at once (default: one a processor)")
    ] = os.cpu_count() or 1,
    sweep_seconds: Annotated[int, typer.Option(min=1, max=3600, help="how often to ring for what is due")] = 30,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="work in this process, and end as soon as nothing can be done now")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="serve /metrics there (default: nowhere; 0: a free one)")
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="address to serve /metrics on")] = "127.0.0.1",
) -> None:
    """Judge submissions, compute, settle and follow, as bells ring, until stopped.

    Any number of them share one database and one broker (celery_broker_url). Stopping one, even by a power cut,
    loses nothing: another one does its work, or the same one when it is started again.
    """
    place = workspace_at(workspace)
    with ExitStack() as served:
        if metrics_port is not None:
            from ledger.tasks.scraping import scrape_of
            from ledger.telemetry.serving import metrics_served

            # before anything that counts is imported: the processes forked later count into one folder
            port = served.enter_context(metrics_served(metrics_port, scrape_of(place), host=metrics_host))
            talk(f"metrics at http://{metrics_host}:{port}/metrics")
        code = _work(place, concurrency=concurrency, sweep_seconds=sweep_seconds, until_idle=until_idle)
    raise typer.Exit(code)


def _work(place: "Workspace", *, concurrency: int, sweep_seconds: int, until_idle: bool) -> int:
    from ledger.cli.service.run import work_here
    from ledger.tasks.processes import app_of, work
    from ledger.tasks.telling import tell
    from ledger.telemetry.logs import start_logging

    if until_idle:
        work_here(place, app_of(place), until_idle=True)
        return 0

    def begin() -> None:
        start_logging(place.settings, program="worker", folder=place.root / "logs")

    begin()
    talk(f"working on {place.root} with {concurrency} processes; stop it with Ctrl-C")
    return work(place, tell, concurrency=concurrency, sweep_seconds=sweep_seconds, begin=begin)
