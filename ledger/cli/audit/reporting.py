"""`ath-ledger audit report` and `audit certificate`: an epoch for people, and one certificate's whole use."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of, workspace_at
from ledger.cli.shared.output import Format, Output, emit_rows, talk
from ledger.model.errors import UsageError
from ledger.model.units import EpochNumber

if TYPE_CHECKING:
    from ledger.audit.reporting.document import Report


class ReportFormat(StrEnum):
    """What a report can be written as."""

    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"
    HTML = "html"
    ALL = "all"


def add_to(app: typer.Typer) -> None:
    """Put both commands into `audit`."""
    app.command("report")(report)
    app.command("certificate")(certificate)


def report(
    epoch: Annotated[int | None, typer.Option("--epoch", min=0, help="one epoch")] = None,
    first: Annotated[int | None, typer.Option("--from", min=0, help="several epochs together: the first")] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, help="and the last")] = None,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="markdown, json, html; csv and all need --out")
    ] = ReportFormat.MARKDOWN,
    out: Annotated[Path | None, typer.Option("--out", help="a folder to write into (default: stdout)")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Energy, carbon both ways, certificates, coverage, retirements, SCI, rewards, controls: the sections of R7."""
    from ledger.audit.reporting.composing import compose
    from ledger.steps.reporting.gathering import gather
    from ledger.steps.reporting.papers import FOLDER, papers

    start, end = _span(epoch, first, last)
    if out is None and form in (ReportFormat.CSV, ReportFormat.ALL):
        raise UsageError(f"--format {form} writes several files", hint="name a folder with --out")
    place = workspace_at(workspace)
    with reading(workspace) as ledger:
        standing = standing_of(ledger)
        found = gather(ledger, start, end, papers(place.root / FOLDER))
        made = compose(found, is_rehearsal=place.is_own_chain)
    if out is None:
        print(_text(made, form), end="")
    else:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in _files(made, form, start, end).items():
            (out / name).write_text(content, encoding="utf-8")
            talk(f"wrote {out / name}")
    talk(str(standing))


def certificate(
    issuance: Annotated[str, typer.Argument(metavar="ID", help="an issuance, as 0x-hex or its first digits")],
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """One certificate's whole use: every claim on it in every epoch, what was credited, what was refused and why."""
    from ledger.steps.reporting.certificate_use import certificate_use

    with reading(workspace) as ledger:
        standing = standing_of(ledger)
        rows = certificate_use(ledger, issuance)
    emit_rows(rows, output, standing)


def _span(epoch: int | None, first: int | None, last: int | None) -> tuple[EpochNumber, EpochNumber]:
    if epoch is not None and first is None and last is None:
        return EpochNumber(epoch), EpochNumber(epoch)
    if epoch is None and first is not None and last is not None and first <= last:
        return EpochNumber(first), EpochNumber(last)
    raise UsageError("name --epoch N, or --from A --to B with A not after B", hint="ath-ledger audit report --help")


def _text(made: "Report", form: ReportFormat) -> str:
    from ledger.audit.reporting.machine import as_json
    from ledger.audit.reporting.markdown import markdown
    from ledger.audit.reporting.page import page

    match form:
        case ReportFormat.JSON:
            return as_json(made).decode("utf-8") + "\n"
        case ReportFormat.HTML:
            return page(made)
        case _:
            return markdown(made)


def _files(made: "Report", form: ReportFormat, start: int, end: int) -> Mapping[str, str]:
    """The files' names and contents."""
    from ledger.audit.reporting.machine import as_csv

    stem = f"report-{start}" if start == end else f"report-{start}-{end}"
    endings = {ReportFormat.MARKDOWN: "md", ReportFormat.JSON: "json", ReportFormat.HTML: "html"}
    found = {
        f"{stem}.{ending}": _text(made, each) for each, ending in endings.items() if form in (each, ReportFormat.ALL)
    }
    if form in (ReportFormat.CSV, ReportFormat.ALL):
        found |= {f"{stem}-{name}.csv": text for name, text in as_csv(made).items()}
    return found
