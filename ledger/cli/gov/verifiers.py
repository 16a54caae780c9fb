"""`ath-ledger gov verifier`: who may attest what, from which epoch to which."""

from typing import Annotated, Any

import typer

from ledger.cli.shared.acting import act, already, ledger_for
from ledger.cli.shared.opening import WorkspaceOption, reading, workspace_at
from ledger.cli.shared.output import Format, Output, emit_rows, talk
from ledger.cli.shared.signing import (
    BroadcastOption,
    CallFormat,
    CallOutput,
    FromOption,
    KeystoreOption,
    PasswordOption,
    Signing,
)
from ledger.model.units import EpochNumber

app = typer.Typer(name="verifier", help="Who may attest.", no_args_is_help=True)


@app.command("list")
def list_verifiers(
    epoch: Annotated[int | None, typer.Option(min=0, help="only the roles that hold in this epoch")] = None,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Verifier roles in the order they were set; for an epoch the one with the greatest from_epoch counts."""
    from ledger.chain.deploying.configuration import FOREVER
    from ledger.chain.following.governed import verifier_roles
    from ledger.evidence.items.typed_data import schema_of
    from ledger.tree.keccak import checksum_address

    with reading(workspace) as ledger:
        settlement = ledger.settlement()
        at = settlement.connection.head()
        book = verifier_roles(settlement.connection, settlement.deployment, at)
    kept = book.roles if epoch is None else tuple(book.in_epoch(EpochNumber(epoch)).values())
    rows: list[dict[str, Any]] = []
    for role in sorted(kept, key=lambda role: role.order):
        schema = schema_of(role.schema_id)
        rows.append(
            {
                "order": role.order,
                "schema": schema.title if schema else "0x" + role.schema_id.hex(),
                "verifier": checksum_address(role.verifier),
                "affiliation": checksum_address(role.affiliation) if any(role.affiliation) else "",
                "from_epoch": role.from_epoch,
                "until_epoch": "" if role.until_epoch == FOREVER else role.until_epoch,
                "registries": ", ".join("0x" + registry.hex() for registry in role.registry_ids),
            }
        )
    emit_rows(rows, output)
    talk(f"as of block {at.number}")


@app.command("set")
def set_verifier(
    schema: Annotated[str, typer.Argument(help="uptime, energy, renewable or grid")],
    verifier: Annotated[str, typer.Argument(help="the verifier's address, or an account of the workspace")],
    from_epoch: Annotated[int, typer.Option(min=0, help="first epoch it holds; the next one at the earliest")],
    until_epoch: Annotated[
        int | None, typer.Option(min=0, help="last epoch (default: no end); below --from-epoch it ends the role")
    ] = None,
    affiliation: Annotated[str | None, typer.Option(help="the operator it belongs to")] = None,
    registry: Annotated[list[str] | None, typer.Option(help="a certificate registry's id, for renewable")] = None,
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """Give a verifier its role for a schema, change it, or end it. Announced first, executed after the delay."""
    from ledger.cli.shared.reach import account_address
    from ledger.steps.governing.govern import route
    from ledger.steps.governing.verifier_role import is_set, require_verifier_notice, verifier_call

    place = workspace_at(workspace)
    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    account = account_address(place, verifier, "VERIFIER")
    owner = account_address(place, affiliation, "--affiliation") if affiliation else None
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        call = verifier_call(ledger, schema, account, owner, registry or [], from_epoch, until_epoch)
        if is_set(ledger, call):
            already("this role is set already", output)
            return
        way = route(ledger, signing.address(), call)
        if way.announced is None:
            require_verifier_notice(ledger, from_epoch, way.delay_seconds)
        act(ledger, way, signing, "verifier", broadcast=broadcast, output=output, facts={})
