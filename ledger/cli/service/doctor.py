"""`ath-ledger doctor`: everything a start needs, looked at one by one, with what to do. It changes nothing."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.service.examination import examination
from ledger.cli.shared.opening import WorkspaceOption, workspace_path
from ledger.cli.shared.output import Format, Output, emit_rows, talk

if TYPE_CHECKING:
    from ledger.steps.checkup.doctor import Finding


def add_to(app: typer.Typer) -> None:
    """Put `doctor` into the command tree."""
    app.command("doctor")(doctor)


def doctor(
    workspace: WorkspaceOption = None,
    full: Annotated[bool, typer.Option("--full", help="read every stored file, not only the newest")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Check the workspace, the books, the files, the chain and the keys; say for each what to do.

    Ends with 0 when nothing stands in the way, 4 when something is not what was written, 5 for everything else.
    """
    from ledger.steps.checkup.doctor import Health, exit_code

    findings = list(examination(workspace_path(workspace), full=full))
    emit_rows([_row(each) for each in findings], output)
    failed = [each for each in findings if each.health is Health.FAILED]
    talk(f"{len(failed)} of {len(findings)} checks failed" if failed else f"{len(findings)} checks, nothing in the way")
    if failed:
        page = f" ({failed[0].page})" if failed[0].page else ""
        talk(f"first: {failed[0].code}: {failed[0].found}. Next: {failed[0].remedy}{page}")
        raise typer.Exit(exit_code(findings))


def _row(finding: "Finding") -> dict[str, Any]:
    return {
        "check": finding.check,
        "health": finding.health.value,
        "code": finding.code,
        "found": finding.found,
        "next": finding.remedy,
        "page": finding.page,
    }
