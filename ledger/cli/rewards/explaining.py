"""`ath-ledger rewards explain`: why one node was paid what it was paid, as a page or as JSON."""

from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.rewards.explanation_page import flat_rows, print_page
from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of
from ledger.cli.shared.output import Format, Output, Row, Standing, emit_fact, emit_rows, talk
from ledger.cli.shared.remote import UrlOption, elsewhere, emit_pages, shown_standing, with_integers
from ledger.cli.shared.signing import parse_account
from ledger.model.errors import NotFoundError, UsageError
from ledger.model.plain import plain
from ledger.model.units import EpochNumber

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient


def add_to(app: typer.Typer) -> None:
    """Put the command into `rewards`."""
    app.command("explain")(explain)


def explain(
    node: Annotated[
        str | None, typer.Option("--node", help="the node's id, or enough of its first digits to name one node")
    ] = None,
    epoch: Annotated[int | None, typer.Option("--epoch", min=0, help="default: the last computed epoch")] = None,
    operator: Annotated[
        str | None, typer.Option("--operator", help="without --node: list this operator's nodes; with: look among them")
    ] = None,
    workspace: WorkspaceOption = None,
    url: UrlOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Why is my reward X? Evidence, factors, rules, lines in wei, what was refused, what a missed threshold cost."""
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            _explain_elsewhere(asked, epoch, node, operator, output)
            return
    from ledger.steps.answers.explain import explain as explain_node
    from ledger.steps.answers.explain import last_computed, node_rows

    account = None if operator is None else parse_account(operator, "--operator")
    with reading(workspace) as ledger:
        standing = standing_of(ledger)
        number = last_computed(ledger) if epoch is None else EpochNumber(epoch)
        if node is None:
            if account is None:
                raise _nameless()
            emit_rows(node_rows(ledger, number, account), output, standing)
            talk(f"epoch {number}. Next: ath-ledger rewards explain --epoch {number} --node ID")
            return
        found = explain_node(ledger, number, node, account)
    from ledger.steps.answers.explanation_document import explanation_document

    _show(explanation_document(found), output, standing)


def _explain_elsewhere(
    asked: "LedgerClient", epoch: int | None, node: str | None, operator: str | None, output: Format
) -> None:
    number = _last_computed(asked) if epoch is None else epoch
    if node is None:
        if operator is None:
            raise _nameless()
        emit_pages(asked.list_nodes(epoch=number, operator=operator), output)
        talk(f"epoch {number}. Next: ath-ledger rewards explain --epoch {number} --node ID")
        return
    found = asked.show_explanation(number, node, operator=operator)
    _show(found.data, output, shown_standing(found.standing))


def _last_computed(asked: "LedgerClient") -> int:
    computed = [row["epoch"] for row in asked.list_epochs() if row["payout_wei"] is not None]
    if not computed:
        raise NotFoundError("no epoch is computed yet", hint="ath-ledger epoch list --url URL")
    return max(computed)


def _show(document: Row, output: Format, standing: Standing | None) -> None:
    match output:
        case Format.JSON:
            emit_fact(document, output, standing)
        case Format.CSV:
            emit_rows(flat_rows(with_integers(plain(document))), output)
        case Format.TABLE:
            print_page(with_integers(plain(document)))
            if standing is not None:
                talk(str(standing))


def _nameless() -> UsageError:
    hint = "ath-ledger rewards explain --node ID, or --operator ADDRESS to list its nodes"
    return UsageError("name a node", hint=hint)
