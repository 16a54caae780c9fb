"""`ath-ledger audit reconcile` and `clear-suspense`: books, chain and evidence held against each other."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of, writing
from ledger.cli.shared.output import Format, Output, Standing, emit_fact, emit_rows, talk

if TYPE_CHECKING:
    from ledger.steps.ledger import Ledger
    from ledger.steps.reconciling.finding import Finding, Reconciliation


def add_to(app: typer.Typer) -> None:
    """Put the commands into `audit`."""
    app.command("reconcile")(reconcile)
    app.command("clear-suspense")(clear_suspense)


def reconcile(
    book: Annotated[
        bool, typer.Option("--book", help="put differences on record; new payouts stop until they are cleared")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="leave out R5, the recomputation of every epoch")] = False,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Hold the books against themselves, the chain and a second calculation; exit code 4 on any difference.

    R1 rows, R2 books, R3 chain totals, R4 every operator, R5 recomputation: all at the block the books are final to.
    Without --book nothing is written: what would be booked is shown.
    """
    from ledger.steps.reconciling.booking import record
    from ledger.steps.reconciling.finding import DifferencesFoundError
    from ledger.steps.reconciling.reconcile import reconcile as compare

    with writing(workspace) if book else reading(workspace) as ledger:
        found = compare(ledger, recompute=not quick)
        _show(ledger, found, output)
        if not found.differing:
            talk(f"books, chain and evidence agree at block {found.block.number} (0x{found.block.hash.hex()})")
            return
        if book:
            done = record(ledger, found)
            for key in done.keys:
                talk(f"booked {key}")
            if done.halted is not None:
                talk(f"epoch {done.halted} is halted: what differs is no amount that can be booked")
    first = found.differing[0]
    what = f"{len(found.differing)} differences at block {found.block.number}; first: {_sentence(first)}"
    raise DifferencesFoundError(what, hint="ath-ledger doctor" if book else None)


def clear_suspense(
    key: Annotated[str, typer.Argument(help="the entry's key, as `audit journal --kind suspense` shows it")],
    reason: Annotated[str, typer.Option(help="what explained the difference; kept in the books")],
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Undo a difference that reconciliation booked, once its cause is known. Twice is harmless.

    A difference that is still there will be found by the next `audit reconcile`.
    """
    from ledger.model.errors import UsageError
    from ledger.steps.reconciling.suspense import clear
    from ledger.steps.recorded.open_differences import open_differences

    if not reason.strip():
        raise UsageError("--reason is empty", hint="say what explained the difference")
    with writing(workspace) as ledger:
        entry, is_new = clear(ledger, key, reason)
        talk(f"cleared by seq {entry.seq}" if is_new else f"it was cleared by seq {entry.seq} already")
        with ledger.database.reading() as session:
            left = open_differences(session)
        fact = {"key": entry.key, "seq": entry.seq, "hash": entry.hash, "still_open": len(left)}
        emit_fact(fact, output, standing_of(ledger))
    talk("Next: ath-ledger audit reconcile" if not left else f"Next: {left[0].key} is open as well")


def _show(ledger: "Ledger", found: "Reconciliation", output: Format) -> None:
    from ledger.steps.reconciling.booking import postings

    told = standing_of(ledger)
    standing = Standing(epoch=told.epoch, seq=found.seq, block=found.block.number, head=told.head)
    emit_rows([_row(each) for each in found.findings], output, standing)
    for finding, posting in postings(found):
        transfer = posting.transfers[0]
        talk(f"to be booked: {posting.key}: {transfer.debit} → {transfer.credit}, {transfer.amount} {_unit(finding)}")


def _row(finding: "Finding") -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "what": finding.what,
        "outcome": finding.outcome.value,
        "books": finding.books,
        "found": finding.found,
        "difference": str(finding.difference) if finding.difference else "",
        "account": finding.account,
    }


def _unit(finding: "Finding") -> str:
    from ledger.books.accounts import Asset, kind_of

    return "wei" if kind_of(finding.account).asset is Asset.ATH else "µg"


def _sentence(finding: "Finding") -> str:
    where = f" ({finding.account})" if finding.account else ""
    return f"{finding.rule} {finding.what}{where}: books {finding.books}, found {finding.found}"
