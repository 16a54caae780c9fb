"""`ath-ledger audit`: recompute, compare, export, and read the books entry by entry."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.audit import exporting, proofs, reconciling, reporting, verifying, watching
from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of, workspace_at
from ledger.cli.shared.output import Format, OutOption, Output, emit_fact, emit_rows, in_a_folder, talk
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber

if TYPE_CHECKING:
    from ledger.steps.ledger import Ledger

app = typer.Typer(name="audit", help="Prove the results, export them, read the books.", no_args_is_help=True)
app.command("verify")(verifying.verify)
reporting.add_to(app)
proofs.add_to(app)
exporting.add_to(app)
reconciling.add_to(app)
watching.add_to(app)

EpochOption = Annotated[int, typer.Option("--epoch", min=0, help="the epoch's number")]


class OutOfBalanceError(MismatchError):
    """The books do not balance."""

    code = "books.out-of-balance"
    default_hint = "ath-ledger audit journal --verify"


@app.command()
def export(
    epoch: EpochOption,
    out: Annotated[Path, typer.Option("--out", help="the file to write", callback=in_a_folder)],
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Write everything about a sealed epoch into one file that `audit verify FILE` checks anywhere, offline.

    The same epoch gives the same bytes on every machine. A file that is there already is never overwritten by another.
    """
    import json

    from ledger.steps.auditing.export import export_bundle

    place = workspace_at(workspace)
    with reading(workspace) as ledger:
        standing = standing_of(ledger)
        deployment = json.loads(place.deployment_file.read_text(encoding="utf-8"))
        exported = export_bundle(ledger, EpochNumber(epoch), deployment, out)
    talk(f"wrote {out}" if exported.is_new else f"{out} is there already, with these bytes")
    fact = {"epoch": epoch, "file": str(out), "bytes": exported.size, "sha256": exported.sha256.hex()}
    emit_fact(fact, output, standing)
    talk(f"Next: ath-ledger audit verify {out}")


@app.command()
def tree(
    epoch: EpochOption,
    out: OutOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """The epoch's claim tree as @openzeppelin/merkle-tree loads it (standard-v1 JSON)."""
    import json

    from ledger.steps.auditing.epochs import claim_tree
    from ledger.tree.exchange import dump_tree

    with reading(workspace) as ledger:
        text = json.dumps(dump_tree(claim_tree(ledger, EpochNumber(epoch))))
    if out is None:
        print(text)
        return
    out.write_text(text + "\n", encoding="utf-8")
    talk(f"wrote {out}")


@app.command("trial-balance")
def trial_balance(
    workspace: WorkspaceOption = None,
    as_of: exporting.AsOf = None,
    as_of_epoch: exporting.AsOfEpoch = None,
    as_of_time: exporting.AsOfTime = None,
    output: Output = Format.TABLE,
) -> None:
    """Every account's debits and credits, replayed from the transfers; exit code 4 when anything is off."""
    from ledger.steps.auditing.books import trial_balance_rows

    with reading(workspace) as ledger:
        position = exporting.position(ledger, as_of, as_of_epoch, as_of_time)
        standing = replace(standing_of(ledger), as_of_seq=position)
        rows, violations = trial_balance_rows(ledger, position)
        emit_rows(rows, output, standing)
    if violations:
        raise OutOfBalanceError("; ".join(violations))
    talk(f"balanced as of seq {standing.seq if position is None else position}")


@app.command()
def journal(
    workspace: WorkspaceOption = None,
    first: Annotated[int, typer.Option("--from", metavar="SEQ", min=1, help="first entry")] = 1,
    last: Annotated[int | None, typer.Option("--to", metavar="SEQ", min=1, help="last entry")] = None,
    chain: Annotated[verifying.ChainChoice | None, typer.Option(help="only one of the two hash chains")] = None,
    kind: Annotated[verifying.KindChoice | None, typer.Option(help="only one kind of entry")] = None,
    key: Annotated[str | None, typer.Option(help="only the entry with this business key")] = None,
    account: Annotated[
        str | None,
        typer.Option(help="only transfers of this account, or of all accounts that begin so (operator/0x…/)"),
    ] = None,
    as_of: exporting.AsOf = None,
    as_of_epoch: exporting.AsOfEpoch = None,
    as_of_time: exporting.AsOfTime = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="first walk both hash chains; the first bad entry is named, exit code 4")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """The books: entries in order, with their transfers. JSON nests them; tables and CSV have a transfer a line."""
    from ledger.steps.auditing.books import JournalFilter, flat_rows, journal_entries

    with reading(workspace) as ledger:
        position = exporting.position(ledger, as_of, as_of_epoch, as_of_time)
        standing = replace(standing_of(ledger), as_of_seq=position)
        wanted = JournalFilter(
            first=first,
            last=last if position is None else min(position, position if last is None else last),
            chain=None if chain is None else chain.value,
            kind=None if kind is None else kind.value,
            key=key,
            account=account,
        )
        if verify:
            _walk(ledger)
        entries = journal_entries(ledger, wanted)
        rows: list[dict[str, Any]] = entries if output is Format.JSON else flat_rows(entries)
        emit_rows(rows, output, standing)


def _walk(ledger: "Ledger") -> None:
    from ledger.steps.auditing.books import walk_journal

    heads = walk_journal(ledger)
    talk("every entry is what was hashed: " + ", ".join(f"{name} {number}" for name, number in heads))
