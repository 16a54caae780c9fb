"""`ath-ledger init`: make a workspace, the folder that holds everything of one ledger."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.shared.opening import WorkspaceOption, workspace_path
from ledger.cli.shared.output import Format, Output, emit_fact, talk
from ledger.model.errors import UsageError


class ClockChoice(StrEnum):
    """Where a ledger's time comes from."""

    SYSTEM = "system"
    CHAIN = "chain"


def add_to(app: typer.Typer) -> None:
    """Put `init` into the command tree."""
    app.command("init")(init)


def init(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="the workspace's folder, new or empty")] = None,
    workspace: WorkspaceOption = None,
    rpc: Annotated[
        str | None,
        typer.Option(envvar="ETH_RPC_URL", help="JSON-RPC address of an existing chain (default: an Anvil of its own)"),
    ] = None,
    clock: Annotated[
        ClockChoice | None,
        typer.Option(help="system: the machine's time; chain: the last block's (default with an Anvil of its own)"),
    ] = None,
    database_url: Annotated[
        str, typer.Option(help="postgresql://HOST/NAME instead of the workspace's own SQLite file")
    ] = "",
    broker_url: Annotated[
        str, typer.Option(help="redis://HOST:6379/0, where workers hear of what is to be done (see: ath-ledger worker)")
    ] = "",
    publisher_keystore: Annotated[
        str, typer.Option(help="keystore of the account that proposes epochs, relative to the workspace")
    ] = "",
    publisher_password_file: Annotated[
        str, typer.Option(help="file with its password, relative to the workspace")
    ] = "",
    output: Output = Format.TABLE,
) -> None:
    """Make a workspace: settings, an empty database, folders for evidence, artefacts, chain and keys.

    A workspace that is there already is left as it is.
    """
    from ledger.settings import SETTINGS_FILE
    from ledger.workspace import Workspace

    if rpc is not None and not rpc.strip():
        raise UsageError("--rpc is empty", hint="name the node's address, or leave --rpc out for an Anvil of its own")
    root = folder or workspace_path(workspace)
    is_new = not (root / SETTINGS_FILE).is_file()
    time_from = clock or (ClockChoice.SYSTEM if rpc else ClockChoice.CHAIN)
    settings: dict[str, str | int] = {
        "rpc_url": rpc or "",
        "clock": time_from.value,
        "database_url": database_url,
        "celery_broker_url": broker_url,
        "publisher_keystore": publisher_keystore,
        "publisher_password_file": publisher_password_file,
    }
    made = Workspace.create(root, {name: value for name, value in settings.items() if value})
    talk(f"made a workspace at {root}" if is_new else f"there is a workspace at {root} already; it was left as it is")
    if made.is_own_chain:
        talk("its chain is an Anvil of its own, whose time moves only with blocks (ath-ledger chain warp)")
    talk(f"Next: {_next_command(made.is_own_chain, made.deployment_file.is_file(), root)}")
    emit_fact(
        {
            "workspace": str(root),
            "chain": "own Anvil" if made.is_own_chain else "existing",
            "clock": made.settings.clock,
            "database": "own SQLite" if not made.settings.database_url else "configured",
            "settings": str(root / SETTINGS_FILE),
        },
        output,
    )


def _next_command(is_own_chain: bool, is_deployed: bool, root: Path) -> str:
    if is_deployed:
        return f"ath-ledger run -w {root}"
    return f"ath-ledger chain {'start' if is_own_chain else 'config'} -w {root}"
