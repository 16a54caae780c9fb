"""`ath-ledger chain tables` and `config`: documents to start from, before anything is on a chain."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, workspace_at
from ledger.cli.shared.output import talk
from ledger.cli.shared.reach import account_address, reach_chain
from ledger.model.errors import EnvironmentFailure, NotFoundError, UsageError

if TYPE_CHECKING:
    from ledger.workspace import Workspace

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


def add_to(app: typer.Typer) -> None:
    """Put the commands into `chain`."""
    app.command("tables")(tables)
    app.command("config")(config)


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
