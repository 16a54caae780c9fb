"""`ath-ledger epoch`: where every epoch stands, what it decided, and moving one on by hand."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of, writing
from ledger.cli.shared.output import Format, Output, emit_fact, emit_rows, talk
from ledger.cli.shared.remote import UrlOption, elsewhere, emit_found, emit_pages
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient
    from ledger.client.transport import Fact

app = typer.Typer(name="epoch", help="Epochs: where they stand, moving them on.", no_args_is_help=True)


class EpochHaltedError(MismatchError):
    """A promise did not hold: the epoch waits for a person."""

    code = "epoch.halted"
    default_hint = "ath-ledger doctor; then ath-ledger epoch resume N --reason TEXT"


Number = Annotated[int, typer.Argument(min=0, help="the epoch's number")]


@app.command("list")
def list_epochs(workspace: WorkspaceOption = None, url: UrlOption = None, output: Output = Format.TABLE) -> None:
    """Every epoch with its state and totals."""
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            emit_pages(asked.list_epochs(), output)
            return
    from ledger.steps.answers.overview import epoch_rows

    with reading(workspace) as ledger:
        emit_rows(epoch_rows(ledger), output, standing_of(ledger))


@app.command()
def show(
    number: Number, workspace: WorkspaceOption = None, url: UrlOption = None, output: Output = Format.TABLE
) -> None:
    """One epoch whole: frozen set, policy, totals, seal, header, transactions, refusals by code."""
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            emit_found(_with_transitions(asked, number), output)
            return
    from ledger.steps.answers.overview import epoch_fact

    with reading(workspace) as ledger:
        emit_fact(epoch_fact(ledger, EpochNumber(number)), output, standing_of(ledger))


def _with_transitions(asked: "LedgerClient", number: int) -> "Fact[dict[str, Any]]":
    """One epoch with what every transition recorded, as a workspace answers."""
    from ledger.client.transport import Fact
    from ledger.steps.answers.epoch_document import epoch_document

    found = asked.show_epoch(number)
    return Fact(found.standing, epoch_document(found.data, asked.list_transitions(number)))


@app.command()
def step(number: Number, workspace: WorkspaceOption = None, output: Output = Format.TABLE) -> None:
    """Perform at most one transition of an epoch and say what was done, or what is awaited."""
    from ledger.steps.drive import step as take_step
    from ledger.steps.transitions.transition import Moved, as_fact, sentence

    with writing(workspace) as ledger:
        result = take_step(ledger, EpochNumber(number))
        talk(sentence(result))
        emit_fact(as_fact(result), output, standing_of(ledger))
        if isinstance(result, Moved) and result.state is EpochState.HALTED:
            raise EpochHaltedError(sentence(result))


@app.command()
def resume(
    number: Number,
    reason: Annotated[str, typer.Option(help="why it may go on; kept with the epoch")],
    workspace: WorkspaceOption = None,
) -> None:
    """Let a halted epoch go on, once what halted it has been looked at."""
    from ledger.steps.transitions.halt import resume as resume_epoch
    from ledger.steps.transitions.transition import sentence

    with writing(workspace) as ledger:
        talk(sentence(resume_epoch(ledger, EpochNumber(number), reason)))
