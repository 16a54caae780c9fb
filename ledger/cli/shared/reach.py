"""Reaching a workspace's chain when there are no contracts yet, and the accounts kept in its keys folder."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.cli.shared.signing import parse_account
from ledger.model.errors import NotFoundError, RefusedError
from ledger.model.units import Address, Timestamp

if TYPE_CHECKING:
    from ledger.chain.node.connection import Connection
    from ledger.workspace import Workspace


class NotOwnChainError(RefusedError):
    """Only an Anvil of the workspace's own is started, stopped and moved through time from here."""

    code = "chain.not-own"
    default_hint = "this workspace settles on the chain its settings.toml names"


class AccountMissingError(NotFoundError):
    """The workspace keeps no such account."""

    code = "keys.no-account"


def require_own_chain(workspace: "Workspace") -> None:
    """Refuse to act on a chain that is somebody else's."""
    if not workspace.is_own_chain:
        raise NotOwnChainError(f"{workspace.root} has no chain of its own")


def reach_chain(workspace: "Workspace") -> "Connection":
    """The workspace's chain; once there are contracts, only the chain they are on.

    Raises ChainStoppedError for an Anvil of its own that does not run: starting it may need a timestamp.
    """
    from ledger.chain.local.anvil import find_running
    from ledger.chain.local.demo_time import DemoTime
    from ledger.chain.node.connection import connect
    from ledger.workspace import ChainStoppedError

    url = workspace.settings.rpc_url
    if workspace.is_own_chain:
        running = find_running(workspace.chain_folder)
        if running is None:
            raise ChainStoppedError(f"the chain of {workspace.root} does not run")
        url = running.rpc_url
    if not workspace.deployment_file.is_file():
        connection = connect(url)
    else:
        deployment = workspace.deployment()
        connection = connect(url, expected_chain_id=deployment.chain_id, expected_genesis_hash=deployment.genesis_hash)
    if workspace.is_own_chain:
        DemoTime(connection)  # Anvil forgets its block interval when it restarts
    return connection


def time_of(workspace: "Workspace", connection: "Connection") -> Timestamp:
    """The second this workspace acts at."""
    from ledger.model.clock import SystemClock

    return connection.head().timestamp if workspace.settings.clock == "chain" else SystemClock().now()


def keystore_of(workspace: "Workspace", name: str) -> Path:
    """Where the workspace keeps an account's key."""
    return workspace.root / "keys" / f"{name}.json"


def kept_address(keystore: Path) -> Address:
    """The address a keystore of this workspace states; nothing is unlocked. AccountMissingError."""
    try:
        stated = str(json.loads(keystore.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AccountMissingError(
            f"{keystore} is no keystore that states its address", hint=f"ath-ledger chain account {keystore.stem}"
        ) from error
    return parse_account("0x" + stated.removeprefix("0x"), str(keystore))


def account_address(workspace: "Workspace | None", text: str, where: str) -> Address:
    """The address of an account a person named: an address, or the name of one kept in the workspace."""
    if text.startswith(("0x", "0X")) or workspace is None:
        return parse_account(text, where)
    return kept_address(keystore_of(workspace, text))
