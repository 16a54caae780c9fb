"""`ath-ledger run`: work epochs off as they fall due, rung by Celery, with a worker in this process."""

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.shared.opening import WorkspaceOption, standing_of, workspace_at
from ledger.cli.shared.output import talk

if TYPE_CHECKING:
    from celery import Celery

    from ledger.tasks.work import Heard
    from ledger.workspace import Workspace


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

    Needs no broker: bells ring inside this process. Stopping it anywhere loses nothing: run it again.
    """
    from ledger.tasks.app import MEMORY, celery_app

    work_here(workspace_at(workspace), celery_app(MEMORY), until_idle=until_idle, sweep_seconds=sweep_seconds)


def work_here(place: "Workspace", app: "Celery", *, until_idle: bool, sweep_seconds: int = 30) -> None:
    """Work in this process; with `until_idle` say what is done and end when nothing can be done now, else log it.

    Raises what the last task was stopped by, when it ends because of it.
    """
    from ledger.model.errors import LedgerError
    from ledger.tasks.embedded import EmbeddedWorker
    from ledger.tasks.sweeping import SweepTimer
    from ledger.tasks.telling import tell
    from ledger.tasks.work import register
    from ledger.telemetry.logs import start_logging

    idle = threading.Event()
    failed: list[LedgerError] = []

    def told(heard: "Heard") -> None:
        failed[:] = [heard] if isinstance(heard, LedgerError) else []
        if until_idle:
            talk(said(heard))
        else:
            tell(heard)
        if is_last_word(heard):
            idle.set()

    if not until_idle:
        start_logging(place.settings, program="run", folder=place.root / "logs")
    with place.writing():
        ledger = place.open()
        try:
            ledger.settlement()  # fail here, clearly, rather than in the worker
            register(app, lambda: ledger, told)
            with EmbeddedWorker(app), SweepTimer(app, sweep_seconds):
                if until_idle:
                    idle.wait()
                else:
                    threading.Event().wait()
            talk(str(standing_of(ledger)))
        finally:
            ledger.close()
    if failed:
        raise failed[0]


def said(heard: "Heard") -> str:
    """What came of a task, for people."""
    from ledger.model.errors import LedgerError
    from ledger.steps.intake.inbox import Submission
    from ledger.steps.transitions.transition import sentence

    match heard:
        case LedgerError():
            return str(heard)
        case Submission():
            code = f": {heard.code}, {heard.detail}" if heard.code else ""
            return f"{heard.kind} 0x{heard.digest.hex()[:16]}… is {heard.state}{code}"
        case _:
            return sentence(heard)


def is_last_word(heard: "Heard") -> bool:
    """Whether nothing follows from it by itself: an epoch waits, is done, or a task was stopped."""
    from ledger.steps.intake.inbox import Submission
    from ledger.steps.transitions.transition import Moved

    return not isinstance(heard, Moved | Submission)
