"""`ath-ledger rewards`: what operators earned, why, the proof of it, and claiming it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.rewards import claiming, explaining
from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of
from ledger.cli.shared.output import Format, Output, Row, Standing, emit_fact, emit_rows, talk
from ledger.cli.shared.remote import UrlOption, elsewhere, emit_pages, shown_standing, with_integers
from ledger.cli.shared.signing import parse_account
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber, Wei

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient
    from ledger.client.shapes import Proof

app = typer.Typer(name="rewards", help="What operators earned, why, and claiming it.", no_args_is_help=True)

OperatorOption = Annotated[str, typer.Option("--operator", help="the operator's address")]
EpochOption = Annotated[int | None, typer.Option("--epoch", min=0, help="the epoch's number")]


@app.command()
def show(
    operator: Annotated[str | None, typer.Option("--operator", help="one operator, with its proofs")] = None,
    epoch: EpochOption = None,
    workspace: WorkspaceOption = None,
    url: UrlOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Per operator: pending (earned, in no root yet), amount (final, cumulative), claimed, claimable.

    With --epoch what each earned in it; with --operator also its epochs. As of the last final block.
    """
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            _show_elsewhere(asked, operator, epoch, output)
            return
    from ledger.steps.answers.rewards import epoch_reward_rows, history_rows, operator_fact, reward_rows

    number = None if epoch is None else EpochNumber(epoch)
    with reading(workspace) as ledger:
        standing = standing_of(ledger)
        if operator is None:
            rows = reward_rows(ledger) if number is None else epoch_reward_rows(ledger, number)
            emit_rows(rows, output, standing)
            return
        account = parse_account(operator, "--operator")
        fact = operator_fact(ledger, account)
        lines = history_rows(ledger, account, number)
    _show_operator(fact, lines, output, standing)


def _show_elsewhere(asked: "LedgerClient", operator: str | None, epoch: int | None, output: Format) -> None:
    if operator is None:
        emit_pages(asked.list_operators() if epoch is None else asked.list_allocations(epoch), output)
        return
    found = asked.show_operator(operator)
    lines = [with_integers(row) for row in asked.list_history(operator) if epoch in (None, row["epoch"])]
    _show_operator(with_integers(found.data), lines, output, shown_standing(found.standing))


def _show_operator(fact: Row, lines: Sequence[Row], output: Format, standing: Standing | None) -> None:
    match output:
        case Format.JSON:
            emit_fact({**fact, "epochs": lines}, output, standing)
        case Format.CSV:
            emit_rows(lines, output)
        case Format.TABLE:
            emit_fact(fact, output)
            print()
            emit_rows(lines, output, standing)


@app.command()
def history(
    operator: OperatorOption,
    workspace: WorkspaceOption = None,
    url: UrlOption = None,
    output: Output = Format.TABLE,
) -> None:
    """What an operator earned, an epoch a line: payout, base, efficiency, green, state, days."""
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            emit_pages(asked.list_history(operator), output)
            return
    from ledger.steps.answers.rewards import history_rows

    with reading(workspace) as ledger:
        emit_rows(history_rows(ledger, parse_account(operator, "--operator")), output, standing_of(ledger))


@app.command()
def proof(
    operator: OperatorOption,
    epoch: EpochOption = None,
    workspace: WorkspaceOption = None,
    url: UrlOption = None,
    output: Output = Format.TABLE,
) -> None:
    """An operator's amount and Merkle proof in an epoch's claim tree (default: the last final epoch).

    With -o json any claimer of a Merkle distributor can use it: account, amount, proof, root.
    """
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            told = asked.show_latest_proof(operator) if epoch is None else asked.show_proof(epoch, operator)
            _require_proof(told.data)
            _show_proof(told.data, output, shown_standing(told.standing))
            return
    from ledger.steps.answers.proof_document import proof_document

    account = parse_account(operator, "--operator")
    with reading(workspace) as ledger:
        fact = proof_document(ledger, account, None if epoch is None else EpochNumber(epoch))
        standing = standing_of(ledger)
    _show_proof(fact, output, standing)


def _require_proof(told: "Proof") -> None:
    """What a server says is checked here: the proof leads from the operator's amount to the root it names."""
    from ledger.model.units import Hash32, from_hex
    from ledger.tree.payout import PayoutProof

    leaf = PayoutProof(
        account=parse_account(told["account"], "account"),
        cumulative_wei=Wei(int(told["amount"])),
        proof=tuple(Hash32(from_hex(node, 32)) for node in told["proof"]),
        root=Hash32(from_hex(told["root"], 32)),
    )
    if not leaf.holds:
        raise MismatchError(
            f"the server's proof for {told['account']} does not lead to the root {told['root']}",
            hint="do not use it; ask another server, or check the epoch's bundle: ath-ledger audit verify FILE",
        )


def _show_proof(fact: Mapping[str, Any], output: Format, standing: Standing | None) -> None:
    if output is Format.TABLE:
        # the same word with its unit, so that the table adds the amount in ATH
        fact = {("amount_wei" if name == "amount" else name): value for name, value in fact.items()}
        fact["amount_wei"] = int(fact["amount_wei"])
    emit_fact(fact, output, standing)
    if output is Format.TABLE:
        talk("checked against the root. Next: ath-ledger rewards claim --operator " + fact["account"])


explaining.add_to(app)
claiming.add_to(app)
