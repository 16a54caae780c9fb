"""`ath-ledger run`: work epochs off as they fall due, rung by Celery, with a worker in this process."""

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.opening import WorkspaceOption, standing_of, workspace_at, writing
from ledger.cli.output import talk

if TYPE_CHECKING:
    from ledger.model.errors import LedgerError
    from ledger.steps.transition import StepResult


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("run")(run)


def run(
    workspace: WorkspaceOption = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="end as soon as nothing can be done now, instead of waiting")
    ] = False,
    sweep_seconds: Annotated[int, typer.Option(min=1, max=3600, help="how often to look for what is due")] = 30,
) -> None:
    """Freeze, compute, seal, propose, activate and follow, epoch by epoch, until stopped.

    Stopping it anywhere loses nothing: run it again.
    """
    from ledger.model.errors import LedgerError
    from ledger.steps.transition import Moved, sentence
    from ledger.tasks.bell import celery_app, register, ring
    from ledger.tasks.embedded import EmbeddedWorker

    idle = threading.Event()
    failed: list[LedgerError] = []

    def told(result: "StepResult | LedgerError") -> None:
        if isinstance(result, LedgerError):
            failed[:] = [result]
            talk(str(result))
            idle.set()
            return
        failed.clear()
        talk(sentence(result))
        if not isinstance(result, Moved):
            idle.set()

    broker = workspace_at(workspace).settings.celery_broker_url
    with writing(workspace) as ledger:
        ledger.settlement()  # fail here, clearly, rather than in the worker
        app = celery_app(broker)
        register(app, ledger, told)
        with EmbeddedWorker(app):
            while True:
                idle.clear()
                ring(app, ledger)
                while not idle.wait(sweep_seconds):
                    ring(app, ledger)
                if until_idle:
                    break
                threading.Event().wait(sweep_seconds)
        talk(str(standing_of(ledger)))
        if failed and until_idle:
            raise failed[0]
