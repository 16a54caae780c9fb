"""`ath-ledger chain outbox`, `abandon`, `withdraw`: the ledger's transactions, and a person's decisions about them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of, writing
from ledger.cli.shared.output import Format, Output, emit_rows, talk

if TYPE_CHECKING:
    from ledger.db.outbox_entry import OutboxEntry

Key = Annotated[str, typer.Argument(help="the transaction's key, as `chain outbox` shows it")]
Reason = Annotated[str, typer.Option(help="why; kept with the transaction")]


def add_to(app: typer.Typer) -> None:
    """Put the commands into `chain`."""
    app.command("outbox")(outbox)
    app.command("abandon")(abandon)
    app.command("withdraw")(withdraw)


def outbox(
    all_of_them: Annotated[bool, typer.Option("--all", help="also what is settled")] = False,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Transactions that are on their way or in conflict, by sender and nonce."""
    from ledger.steps.transactions.deciding import transactions

    with reading(workspace) as ledger:
        entries = transactions(ledger, settled_too=all_of_them)
        emit_rows([_row(each) for each in entries], output, standing_of(ledger))
    if not entries:
        talk("nothing is on its way")


def abandon(key: Key, reason: Reason, workspace: WorkspaceOption = None) -> None:
    """Say that a taken nonce was looked at: what it was planned for has not happened, and sending goes on.

    Look first, on a block explorer or the node, which transaction used the nonce, and whose it was. An epoch whose
    proposal is abandoned halts; `epoch resume` lets it be proposed anew.
    """
    from ledger.steps.transactions.deciding import abandon as decide

    with writing(workspace) as ledger:
        found = decide(ledger, key, reason)
    talk(f"{found.key} is {found.state}: {found.detail}. Next: ath-ledger run")


def withdraw(key: Key, reason: Reason, workspace: WorkspaceOption = None) -> None:
    """Decide that a transaction is not to be sent: an empty one uses up its nonce, unless the first was faster."""
    from ledger.steps.transactions.deciding import withdraw as decide

    with writing(workspace) as ledger:
        found = decide(ledger, key, reason)
    talk(f"{found.key} is {found.state}: {found.detail}. Next: ath-ledger run")


def _row(entry: "OutboxEntry") -> dict[str, Any]:
    return {
        "key": entry.key,
        "state": entry.state.value,
        "nonce": entry.nonce,
        "sender": entry.sender,
        "transaction": entry.tx_hash,
        "block": entry.block_number,
        "detail": entry.detail,
    }
