"""`ath-ledger audit export-books`, and the options that name a moment of the books."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of
from ledger.cli.shared.output import Format, Output, emit_rows, talk

if TYPE_CHECKING:
    from ledger.steps.ledger import Ledger

AsOf = Annotated[
    int | None, typer.Option("--as-of", metavar="SEQ", min=0, help="after this journal entry (default: the last)")
]
AsOfEpoch = Annotated[int | None, typer.Option("--as-of-epoch", min=0, help="right after this epoch's seal")]
AsOfTime = Annotated[
    str | None,
    typer.Option("--as-of-time", metavar="TIME", help="what was booked by then: ISO 8601 (UTC) or Unix seconds"),
]


class BooksFormat(StrEnum):
    """What the books can be exported as."""

    CSV = "csv"
    PARQUET = "parquet"
    BEANCOUNT = "beancount"
    SQLITE = "sqlite"


def add_to(app: typer.Typer) -> None:
    """Put the command into `audit`."""
    app.command("export-books")(export_books)


def position(ledger: "Ledger", seq: int | None, epoch: int | None, time: str | None) -> int | None:
    """The journal position the three options name; None for now."""
    from ledger.steps.exporting.moment import position_as_of

    return position_as_of(ledger, seq=seq, epoch=epoch, time=time)


def export_books(
    form: Annotated[BooksFormat, typer.Option("--format", help="csv, parquet, beancount or sqlite")],
    out: Annotated[Path, typer.Option("--out", help="the folder to write into")],
    as_of: AsOf = None,
    as_of_epoch: AsOfEpoch = None,
    as_of_time: AsOfTime = None,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """The whole journal, its transfers and the balances, exact to the wei, for other programs."""
    from ledger.steps.exporting import books

    with reading(workspace) as ledger:
        standing = standing_of(ledger)
        found = books.read_books(ledger, position(ledger, as_of, as_of_epoch, as_of_time))
    written = books.export_books(found, form.value, out)
    emit_rows([{"file": str(place), "bytes": place.stat().st_size} for place in written], output, standing)
    talk(f"{len(found.entries)} entries with {sum(len(lines) for _, lines in found.entries)} transfers")
