"""`ath-ledger chain deploy`: from a configuration to contracts on a chain, and a workspace bound to them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, workspace_at
from ledger.cli.shared.output import Format, Output, emit_rows, talk
from ledger.cli.shared.reach import reach_chain, time_of
from ledger.cli.shared.signing import BroadcastOption, FromOption, KeystoreOption, PasswordOption, Signing
from ledger.model.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from ledger.chain.deploying.configuration import DeploymentConfig
    from ledger.chain.deploying.deployment import Deployment
    from ledger.chain.node.connection import Connection
    from ledger.model.policy import Tables
    from ledger.workspace import Workspace

PROGRESS_FILE = "deployment-progress.json"
"""In the chain's folder: every signed transaction of a deployment, before it is sent."""


class OtherDeploymentError(RefusedError):
    """The workspace settles through other contracts already."""

    code = "deployment.other"
    default_hint = "make a new workspace for another network: ath-ledger init DIR"


class GenesisPassedError(RefusedError):
    """The first policy could not be set any more."""

    code = "deployment.genesis-passed"
    default_hint = "choose a later genesis"


def add_to(app: typer.Typer) -> None:
    """Put the command into `chain`."""
    app.command("deploy")(deploy)


def deploy(
    config: Annotated[Path, typer.Option(help="the configuration; ath-ledger chain config prints one to start from")],
    tables: Annotated[Path | None, typer.Option(help="the tables document the first policy points to")] = None,
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: Output = Format.TABLE,
) -> None:
    """Deploy the contracts with first policy, verifiers and roles, and bind this workspace to them.

    Without --broadcast nothing is sent: addresses, transactions, roles, delays and what is left to do are shown.
    A deployment that was stopped goes on where it was; one that is complete is shown again.
    """
    from ledger.chain.deploying.configuration import read_config
    from ledger.steps.governing.tables_file import read_tables

    place = workspace_at(workspace)
    wanted = read_config(config)
    document = read_tables(tables) if tables is not None else None
    _require_tables(wanted, document, config)
    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    if place.deployment_file.is_file():
        deployment = place.deployment()
        _require_same(wanted, deployment)
        talk("the contracts are deployed already")
        if broadcast:
            _establish(place, reach_chain(place), deployment, document)
        emit_rows(_deployed_rows(deployment), output)
        return
    connection = reach_chain(place)
    if not broadcast:
        _show_plan(place, connection, wanted, signing, output)
        return
    with place.reshaping():
        deployment = _deploy(place, connection, wanted, signing)
    _establish(place, connection, deployment, document)
    emit_rows(_deployed_rows(deployment), output)
    if deployment.treasury != deployment.deployer:
        talk("left to do: the treasury must approve the RewardsLedger for the token")
    talk("Next: ath-ledger chain roles, then ath-ledger node register")


def _show_plan(
    place: "Workspace", connection: "Connection", wanted: "DeploymentConfig", signing: Signing, output: Format
) -> None:
    from ledger.chain.deploying.plan import plan
    from ledger.tree.keccak import checksum_address

    head = connection.head()
    progress = place.chain_folder / PROGRESS_FILE
    deployer = signing.address()
    if progress.exists():
        first_nonce = int(json.loads(progress.read_text(encoding="utf-8"))["firstNonce"])
        talk("a deployment was begun here; --broadcast goes on with it")
    elif head.timestamp >= wanted.genesis:
        raise GenesisPassedError(f"the chain's time is {head.timestamp}, genesis {wanted.genesis}")
    else:
        first_nonce = connection.nonce(deployer)
    planned = plan(wanted, deployer, first_nonce)
    rows = [_row("contract", name, checksum_address(address)) for name, address in planned.addresses.items()]
    rows += [
        _row("transaction", step.name, f"nonce {first_nonce + number}, {len(step.calldata)} bytes")
        for number, step in enumerate(planned.steps)
    ]
    rows += [
        _row("role", holder.role.name, f"{checksum_address(holder.account)}, delay {holder.delay_seconds} s")
        for holder in planned.holders
    ]
    rows += [_row("left to do", "", text) for text in planned.left_to_do]
    emit_rows(rows, output)
    if connection.balance_wei(deployer) == 0:
        talk(f"{checksum_address(deployer)} has none of the chain's own coin: send it some first")
    talk("dry run: nothing was sent. Next: the same command with --broadcast")


def _deploy(place: "Workspace", connection: "Connection", wanted: "DeploymentConfig", signing: Signing) -> "Deployment":
    from ledger.chain.deploying.bootstrap import deploy as deploy_contracts
    from ledger.chain.local.anvil_state import keep
    from ledger.chain.sending.fees import FeePolicy

    deployment = deploy_contracts(
        connection,
        signing.signer(connection),
        wanted,
        progress_file=place.chain_folder / PROGRESS_FILE,
        fees=FeePolicy.fixed_fees() if place.is_own_chain else None,
        told=lambda name: talk(f"mined: {name}"),
    )
    if place.is_own_chain:
        keep(connection, place.chain_folder)  # the file must never name contracts that a killed chain has lost
    deployment.write(place.deployment_file)
    return deployment


def _establish(
    place: "Workspace", connection: "Connection", deployment: "Deployment", document: "Tables | None"
) -> None:
    """Bind the books to the contracts and keep the tables; a run that was killed before it does it again."""
    from ledger.steps.establish import bind_database
    from ledger.steps.governing.tables_file import add_tables

    with place.reshaping():
        database = place.open_database()
        try:
            at = time_of(place, connection)
            bind_database(database, deployment, at)
            if document is not None:
                add_tables(database, document, at)
            else:
                talk("no --tables: give the ledger those of the policy with ath-ledger gov tables FILE")
        finally:
            database.close()


def _require_tables(wanted: "DeploymentConfig", document: "Tables | None", file: Path) -> None:
    from ledger.model.units import to_hex
    from ledger.tree.commitments import tables_hash

    if document is None or tables_hash(document) == wanted.first_policy.tables_hash:
        return
    raise UsageError(
        f"the tables hash to {to_hex(tables_hash(document))}, "
        f"policy.tablesHash of {file} is {to_hex(wanted.first_policy.tables_hash)}",
        hint=f"correct policy.tablesHash in {file}, or name the tables it stands for",
    )


def _require_same(wanted: "DeploymentConfig", deployment: "Deployment") -> None:
    for name in ("genesis", "epoch_length", "window", "finality_depth", "treasury", "reserve"):
        if getattr(wanted, name) != getattr(deployment, name):
            raise OtherDeploymentError(
                f"this workspace is bound to contracts with {name} {_plain(getattr(deployment, name))}, "
                f"the configuration says {_plain(getattr(wanted, name))}"
            )


def _deployed_rows(deployment: "Deployment") -> list[dict[str, Any]]:
    from ledger.tree.keccak import checksum_address

    rows = [_row("contract", name, checksum_address(address)) for name, address in deployment.addresses.items()]
    terms = {
        "chain id": deployment.chain_id,
        "genesis": deployment.genesis,
        "epoch length": deployment.epoch_length,
        "window": deployment.window,
        "finality depth": deployment.finality_depth,
        "treasury": checksum_address(deployment.treasury),
        "reserve": checksum_address(deployment.reserve),
    }
    return rows + [_row("term", name, str(value)) for name, value in terms.items()]


def _row(part: str, name: str, value: str) -> dict[str, Any]:
    return {"part": part, "name": name, "value": value}


def _plain(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
