"""Opening the workspace for a command, and saying which state of the ledger an answer speaks of."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.shared.output import Standing

if TYPE_CHECKING:
    from ledger.steps.ledger import Ledger
    from ledger.workspace import Workspace

DEFAULT_WORKSPACE = "ath-ledger"
WORKSPACE_VARIABLE = "ATH_LEDGER_WORKSPACE"

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("-w", "--workspace", help=f"the ledger's folder (default: ${WORKSPACE_VARIABLE} or ./ath-ledger)"),
]


def workspace_path(given: Path | None) -> Path:
    """The folder a command works on: the option, the variable, or ./ath-ledger."""
    return given or Path(os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE)


def workspace_at(given: Path | None) -> "Workspace":
    """The workspace a command works on."""
    from ledger.workspace import Workspace

    return Workspace.at(workspace_path(given))


@contextmanager
def reading(given: Path | None) -> Iterator["Ledger"]:
    """The ledger, to be read; several commands may read at once, also while another one writes."""
    ledger = workspace_at(given).open(read_only=True)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def writing(given: Path | None) -> Iterator["Ledger"]:
    """The ledger, to be written beside workers and other commands; the database keeps them apart."""
    workspace = workspace_at(given)
    with workspace.writing():
        ledger = workspace.open()
        try:
            yield ledger
        finally:
            ledger.close()


def standing_of(ledger: "Ledger") -> Standing:
    """Last sealed epoch, last journal entry, last final block, head of the seal chain."""
    from ledger.steps.answers.standing import standing

    found = standing(ledger)
    return Standing(epoch=found.epoch, seq=found.seq, block=found.block, head=found.head)
