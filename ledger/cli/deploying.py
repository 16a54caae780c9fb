"""`ath-ledger chain tables`, `config` and `deploy`: from published figures to contracts on a chain."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.opening import WorkspaceOption, workspace_at
from ledger.cli.output import Format, Output, emit_rows, talk
from ledger.cli.reach import account_address, reach_chain, time_of
from ledger.cli.signing import BroadcastOption, FromOption, KeystoreOption, PasswordOption, Signing
from ledger.model.errors import EnvironmentFailure, NotFoundError, RefusedError, UsageError

if TYPE_CHECKING:
    from ledger.chain.connection import Connection
    from ledger.chain.deployment import Deployment, DeploymentConfig
    from ledger.model.policy import Tables
    from ledger.workspace import Workspace

PROGRESS_FILE = "deployment-progress.json"
"""In the chain's folder: every signed transaction of a deployment, before it is sent."""

_EXPLANATIONS = (
    "genesis           first second of epoch 0, a whole hour; everything is deployed before it",
    "epoch_length      seconds of an epoch, whole hours, at most 604800",
    "window            seconds in which the guardian can revoke a proposed epoch; shorter than an epoch",
    "finality_depth    blocks on top of a block before the books believe it",
    "governance_delay  seconds governor and admin must announce what they do",
    "policy            R5.1 of docs/spec/rewards.md: names, units, bounds, steps; amounts are decimal strings of wei",
    "verifiers         schema (uptime, energy, renewable, grid), verifier, affiliation, registry_ids, until_epoch",
    "treasury          pays every epoch; must approve the RewardsLedger for the token",
    "reserve           receives the strategic reserve; another account than the treasury",
    "roles             lists of accounts: publisher proposes, guardian revokes and pauses, governor decides after the",
    "                  delay, retirer pays for retirements, admin changes roles after the delay",
    'token             "deploy" for a token of this network\'s own, or the address of a plain ERC-20',
)


class OtherDeploymentError(RefusedError):
    """The workspace settles through other contracts already."""

    code = "deployment.other"
    default_hint = "make a new workspace for another network: ath-ledger init DIR"


class GenesisPassedError(RefusedError):
    """The first policy could not be set any more."""

    code = "deployment.genesis-passed"
    default_hint = "choose a later genesis"


def add_to(app: typer.Typer) -> None:
    """Put the commands into `chain`."""
    app.command("tables")(tables)
    app.command("config")(config)
    app.command("deploy")(deploy)


def tables(
    model: Annotated[list[str] | None, typer.Option(help="keep only these hardware models")] = None,
    zone: Annotated[list[str] | None, typer.Option(help="keep only these grid zones")] = None,
) -> None:
    """Print a tables document to start from: the shipped figures per hardware model and grid zone."""
    from ledger.demo.tables import demo_tables
    from ledger.model.policy import Tables
    from ledger.tree.parameters import tables_document

    shipped = demo_tables()
    kept = Tables(
        rules_version=shipped.rules_version,
        models=_picked(shipped.models, model, "model"),
        zones=_picked(shipped.zones, zone, "zone"),
    )
    print(json.dumps(json.loads(tables_document(kept)), indent=2, ensure_ascii=False))
    talk("sources of the figures: ledger/data/figures/SOURCES.md; Electricity Maps (ODbL), Our World in Data and")
    talk("Ember (CC-BY). Next: ath-ledger chain config --tables FILE")


def config(
    tables: Annotated[Path, typer.Option(help="the tables document of the first policy; its hash goes into it")],
    workspace: WorkspaceOption = None,
    genesis: Annotated[
        int | None, typer.Option(min=1, help="first second of epoch 0 (default: the whole hour after next)")
    ] = None,
    epoch_length: Annotated[int, typer.Option(help="seconds of an epoch")] = 86_400,
    window: Annotated[int, typer.Option(help="seconds in which a proposal can be revoked")] = 21_600,
    finality_depth: Annotated[int, typer.Option(help="blocks until a block is believed")] = 12,
    governance_delay: Annotated[int, typer.Option(help="seconds governors must announce what they do")] = 172_800,
    treasury: Annotated[str, typer.Option(help="address, or an account of the workspace")] = "ADDRESS",
    reserve: Annotated[str, typer.Option(help="the same")] = "ADDRESS",
    publisher: Annotated[str, typer.Option(help="the same")] = "ADDRESS",
    guardian: Annotated[str, typer.Option(help="the same")] = "ADDRESS",
    governor: Annotated[str, typer.Option(help="the same; also retirer and admin until you say otherwise")] = "ADDRESS",
    verifier: Annotated[
        list[str] | None, typer.Option(metavar="SCHEMA=ACCOUNT[,REGISTRY…]", help="a verifier from epoch 0 on")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a policy parameter other than its default")
    ] = None,
) -> None:
    """Print a configuration to start from, every parameter at its default (R5.1); explanations go to stderr.

    Accounts are addresses, or names of accounts in the workspace; what is not named stays ADDRESS, to be filled in.
    """
    from ledger.demo.tables import default_policy
    from ledger.steps.governing.policy_change import parse_changes, wanted_policy
    from ledger.steps.governing.tables_file import read_tables
    from ledger.tree.parameters import policy_document

    place = _workspace_or_none(workspace)
    policy = wanted_policy(policy_document(default_policy(read_tables(tables))), parse_changes(change or []))

    def named(text: str, option: str) -> str:
        return text if text == "ADDRESS" else _address_text(place, text, option)

    document = {
        "genesis": genesis or _next_genesis(place),
        "epoch_length": epoch_length,
        "window": window,
        "finality_depth": finality_depth,
        "governance_delay": governance_delay,
        "policy": policy_document(policy),
        "verifiers": [_verifier(place, text) for text in verifier or []],
        "treasury": named(treasury, "--treasury"),
        "reserve": named(reserve, "--reserve"),
        "roles": {
            "publisher": [named(publisher, "--publisher")],
            "guardian": [named(guardian, "--guardian")],
            "governor": [named(governor, "--governor")],
            "retirer": [named(governor, "--governor")],
            "admin": [named(governor, "--governor")],
        },
        "token": "deploy",
    }
    print(json.dumps(document, indent=2))
    for line in _EXPLANATIONS:
        talk(line)


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
    from ledger.chain.deployment import read_config
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
    from ledger.chain.bootstrap import plan
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
    from ledger.chain.anvil_state import keep
    from ledger.chain.bootstrap import deploy as deploy_contracts
    from ledger.chain.fees import FeePolicy

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


def _picked(shipped: Any, wanted: list[str] | None, what: str) -> dict[str, Any]:
    names = list(shipped) if wanted is None else wanted
    missing = [name for name in names if name not in shipped]
    if missing:
        raise NotFoundError(f"no {what} {missing[0]!r} in the shipped tables", hint=f"one of: {', '.join(shipped)}")
    return {name: shipped[name] for name in names}


def _workspace_or_none(given: Path | None) -> "Workspace | None":
    try:
        return workspace_at(given)
    except NotFoundError:
        if given is not None:
            raise
        return None


def _next_genesis(place: "Workspace | None") -> int:
    """The whole hour after next, by the chain's time where there is one."""
    from ledger.model.clock import SystemClock
    from ledger.model.units import SECONDS_PER_HOUR

    now = SystemClock().now()
    if place is not None:
        try:
            now = reach_chain(place).head().timestamp
        except EnvironmentFailure:
            talk("the chain does not answer: genesis was chosen by the machine's time")
    return (now // SECONDS_PER_HOUR + 2) * SECONDS_PER_HOUR


def _address_text(place: "Workspace | None", text: str, option: str) -> str:
    from ledger.tree.keccak import checksum_address

    return checksum_address(account_address(place, text, option))


def _verifier(place: "Workspace | None", text: str) -> dict[str, Any]:
    schema, sign, rest = text.partition("=")
    account, *registries = rest.split(",")
    if not sign or not account:
        raise UsageError(f"--verifier {text!r} is not SCHEMA=ACCOUNT", hint="for example --verifier uptime=0x…")
    entry: dict[str, Any] = {"schema": schema, "verifier": _address_text(place, account, "--verifier")}
    return entry | ({"registry_ids": registries} if registries else {})
