"""`ath-ledger chain`: the chain a ledger settles on, its contracts, and the accounts of a rehearsal."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.chain import configuring, deploying, outbox
from ledger.cli.shared.opening import WorkspaceOption, reading, workspace_at
from ledger.cli.shared.output import Format, Output, emit_fact, emit_rows, talk
from ledger.cli.shared.reach import kept_address, keystore_of, reach_chain, require_own_chain
from ledger.model.errors import EnvironmentFailure, MismatchError, UsageError
from ledger.model.units import Timestamp

if TYPE_CHECKING:
    from ledger.chain.node.connection import Connection
    from ledger.workspace import Workspace

app = typer.Typer(name="chain", help="The chain, the contracts on it, who may do what.", no_args_is_help=True)
configuring.add_to(app)
deploying.add_to(app)
outbox.add_to(app)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_FUNDS_WEI = 10**21
"""A thousand of the rehearsal chain's coins: enough for any number of its transactions."""


@app.command()
def start(
    workspace: WorkspaceOption = None,
    timestamp: Annotated[
        int | None, typer.Option(min=1, help="time of the first block of a new chain, Unix seconds (default: now)")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """Start the workspace's own Anvil; it goes on where it stopped, and runs until `chain stop`.

    Its time moves only with blocks: each is 12 seconds after the one before, and `chain warp` jumps.
    """
    from ledger.chain.local.anvil import find_running, start_detached

    place = workspace_at(workspace)
    require_own_chain(place)
    if find_running(place.chain_folder) is not None:
        talk("the chain runs already")
    else:
        place.require_chain_state()
        with place.writing():
            start_detached(place.chain_folder, port=port, timestamp=None if timestamp is None else Timestamp(timestamp))
        talk("started the chain")
    if not place.deployment_file.is_file():
        talk("Next: ath-ledger chain account, chain tables, chain config, then chain deploy")
    emit_fact(_where(place, reach_chain(place)), output)


@app.command()
def stop(workspace: WorkspaceOption = None) -> None:
    """Stop the workspace's own Anvil; its state is kept."""
    from ledger.chain.local.anvil import stop_detached

    place = workspace_at(workspace)
    require_own_chain(place)
    talk("stopped the chain" if stop_detached(place.chain_folder) else "the chain does not run")


@app.command()
def status(workspace: WorkspaceOption = None, output: Output = Format.TABLE) -> None:
    """Head, final block, time, and what the contracts hold and wait for."""
    from ledger.steps.answers.chain_status import chain_status

    place = workspace_at(workspace)
    connection = reach_chain(place)
    fact = _where(place, connection)
    if place.deployment_file.is_file():
        fact |= chain_status(connection, place.deployment())
    else:
        talk("no contracts yet. Next: ath-ledger chain deploy --config FILE")
    emit_fact(fact, output)


@app.command()
def warp(
    workspace: WorkspaceOption = None,
    to: Annotated[int | None, typer.Option(min=1, help="jump to this second, Unix time")] = None,
    by: Annotated[int | None, typer.Option(min=1, help="jump by so many seconds")] = None,
    blocks: Annotated[
        int | None, typer.Option(min=0, max=10_000, help="blocks on top of it (default: as many as finality asks for)")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Move the time of the workspace's own Anvil: with `clock = "chain"` it moves only with blocks.

    One block is mined at exactly the second asked for, then as many as make it final, 12 seconds apart.
    """
    from ledger.chain.local.demo_time import DemoTime

    if (to is None) == (by is None):
        raise UsageError("say where to: --to TIMESTAMP or --by SECONDS", hint="ath-ledger chain warp --help")
    place = workspace_at(workspace)
    require_own_chain(place)
    connection = reach_chain(place)
    time = DemoTime(connection, kept_in=place.chain_folder)
    time.jump_to(Timestamp(to if to is not None else connection.head().timestamp + (by or 0)))
    final = place.deployment().finality_depth if place.deployment_file.is_file() else 0
    time.mine(final if blocks is None else blocks)
    emit_fact(_where(place, connection), output)


@app.command()
def account(
    names: Annotated[list[str], typer.Argument(help="names for the accounts, such as publisher or checker-1")],
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Make accounts: version 3 keystores in the workspace's keys folder, each with a password file beside it.

    On the workspace's own Anvil they get coins to pay for transactions, and the key derivation is light so that
    a rehearsal unlocks at once: use such keys nowhere else. An account that is there already is kept.
    """
    place = workspace_at(workspace)
    wrong = [name for name in names if not _NAME.fullmatch(name)]
    if wrong:
        raise UsageError(f"an account's name is lower-case letters, digits and hyphens, not {wrong[0]!r}")
    rows = [_account(place, name) for name in names]
    _fund(place, rows)
    emit_rows(rows, output)


@app.command()
def roles(workspace: WorkspaceOption = None, output: Output = Format.TABLE) -> None:
    """Who holds which role, after which delay it acts, which functions it may call, and what it has announced."""
    from ledger.chain.following.roles_report import roles_report
    from ledger.cli.shared.signing import call_text
    from ledger.steps.governing.operations import OPEN_OPERATIONS, operations, role_of
    from ledger.steps.transitions.transition import utc
    from ledger.tree.keccak import checksum_address

    with reading(workspace) as ledger:
        settlement = ledger.settlement()
        at = settlement.connection.head()
        report = roles_report(settlement.connection, settlement.deployment, at)
        announced = [each for each in operations(settlement, at) if each.state in OPEN_OPERATIONS]
    emit_rows(
        [
            {
                "role": holder.role.name,
                "account": checksum_address(holder.account),
                "delay_seconds": holder.delay_seconds,
                "may_call": ", ".join(
                    f"{each.contract}.{each.name}" for each in report.functions if each.role is holder.role
                )
                or "roles and delays themselves",
                "in_flight": "; ".join(
                    f"{call_text(each.call)} {each.state.value}, from {utc(each.ready_at)}"
                    for each in announced
                    if each.caller == holder.account and role_of(report.functions, each.call) is holder.role
                ),
            }
            for holder in report.holders
        ],
        output,
    )
    talk(f"as of block {report.block}")
    if report.deviations:
        raise MismatchError(
            "; ".join(report.deviations), hint="somebody changed roles: compare with contracts/README.md"
        )


def _where(place: "Workspace", connection: "Connection") -> dict[str, Any]:
    from ledger.steps.transitions.transition import utc

    head = connection.head()
    fact: dict[str, Any] = {"chain_id": connection.chain_id, "head": head.number, "time": head.timestamp}
    fact["time_utc"] = utc(head.timestamp)
    if place.is_own_chain:
        fact["rpc_url"] = connection.rpc_url  # another node's address may carry an access key
    return fact


def _account(place: "Workspace", name: str) -> dict[str, str]:
    import secrets

    from ledger.chain.sending.signer import write_keystore
    from ledger.tree.keccak import checksum_address

    keystore = keystore_of(place, name)
    password_file = keystore.with_suffix(".password")
    if keystore.exists():
        address = kept_address(keystore)
        talk(f"{name} is there already")
    else:
        if not password_file.exists():
            password_file.touch(mode=0o600)
            password_file.write_text(secrets.token_hex(16) + "\n", encoding="utf-8")
        password = password_file.read_text(encoding="utf-8").split("\n", 1)[0]
        address = write_keystore(keystore, secrets.token_bytes(32), password, light=place.is_own_chain)
    return {
        "name": name,
        "address": checksum_address(address),
        "keystore": str(keystore),
        "password_file": str(password_file),
    }


def _fund(place: "Workspace", rows: list[dict[str, str]]) -> None:
    """Coins for new accounts on the rehearsal chain; nowhere else can they be made."""
    from ledger.cli.shared.signing import parse_account

    if not place.is_own_chain:
        talk("send each account some of the chain's own coin before it acts")
        return
    try:
        connection = reach_chain(place)
    except EnvironmentFailure as error:
        talk(f"the accounts have no coins yet ({error.code}). Next: ath-ledger chain start, then this command again")
        return
    for row in rows:
        if connection.balance_wei(parse_account(row["address"], row["name"])) == 0:
            connection.rpc("anvil_setBalance", row["address"], hex(_FUNDS_WEI))
