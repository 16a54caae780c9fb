"""`ath-ledger gov`: policies, verifiers and emergencies, each through its role, its delay and a dry run first."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.gov import emergencies, simulate, verifiers
from ledger.cli.shared.acting import act, already, ledger_for, operation_argument, send, shown_operation
from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of
from ledger.cli.shared.output import Format, Output, emit_fact, emit_rows, talk
from ledger.cli.shared.signing import (
    BroadcastOption,
    CallFormat,
    CallOutput,
    FromOption,
    KeystoreOption,
    PasswordOption,
    Signing,
)
from ledger.model.errors import UsageError
from ledger.model.units import EpochNumber

if TYPE_CHECKING:
    from ledger.chain.following.governed import ScheduledPolicy
    from ledger.steps.governing.operations import Operation

app = typer.Typer(name="gov", help="Policies, verifiers, emergencies.", no_args_is_help=True)
app.add_typer(verifiers.app)
emergencies.add_to(app)
simulate.add_to(app)

OperationArgument = Annotated[str, typer.Argument(help="the operation's id, or enough of its first digits")]


@app.command()
def show(
    version: Annotated[int | None, typer.Option(min=1, help="this policy with every parameter")] = None,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Every policy: in force, scheduled, past or cancelled, with what it changes against the one before."""
    from ledger.steps.answers.policies import policy_fact, policy_rows
    from ledger.steps.governing.policy_change import history

    with reading(workspace) as ledger:
        known, epoch, at = history(ledger)
        standing = standing_of(ledger)
    if version is None:
        emit_rows(policy_rows(known, epoch), output, standing)
    else:
        emit_fact(policy_fact(known, epoch, version), output, standing)
    talk(f"policies as of block {at.number}, in epoch {epoch}")


@app.command()
def tables(
    file: Annotated[Path, typer.Argument(help="JSON: rules_version, models, zones")],
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Keep a tables document in this ledger and print its hash, the value for a policy's tablesHash."""
    from ledger.model.units import to_hex
    from ledger.steps.governing.tables_file import add_tables, read_tables

    document = read_tables(file)
    with ledger_for(workspace, broadcast=True) as ledger:
        digest, is_new = add_tables(ledger.database, document, ledger.clock.now())
    talk("kept" if is_new else "these tables were kept already")
    emit_fact(
        {"tables_hash": to_hex(digest), "models": len(document.models), "zones": len(document.zones)},
        output,
    )


@app.command()
def propose(
    effective_epoch: Annotated[int, typer.Option(min=0, help="first epoch the policy is to govern")],
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a parameter to change; repeat for more")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="JSON with every parameter, instead of --set")] = None,
    simulation: Annotated[
        Path | None, typer.Option(help="simulation.json of this policy: the proposal names its hash")
    ] = None,
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """Propose a policy: the latest scheduled one with changes. Announced first, executed after the delay.

    What the contract would refuse (bounds, steps, notice) is refused here, before anything is sent.
    """
    from ledger.steps.governing.govern import route
    from ledger.steps.governing.policy_change import (
        draft_policy,
        parse_changes,
        policy_changes,
        read_policy_file,
        require_acceptable,
    )
    from ledger.tree.commitments import policy_hash

    if (policy is None) == (not change):
        raise UsageError("name changes with --set NAME=VALUE, or a whole policy with --policy FILE")
    wanted = parse_changes(change or []) if policy is None else read_policy_file(policy)
    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        draft = draft_policy(ledger, wanted, EpochNumber(effective_epoch), is_whole=policy is not None)
        if draft.is_scheduled:
            already(
                f"this policy is scheduled already: version {draft.before.version}, from epoch {effective_epoch} on",
                output,
            )
            return
        about: dict[str, str] = {}
        if simulation is not None:
            named = simulate.named_simulation(simulation)
            named.require_about(policy_hash(draft.policy), ledger.domain)
            about["simulation"] = named.digest
        settlement = ledger.settlement()
        call = settlement.deployment.policy_registry(settlement.connection).schedule(
            draft.policy, draft.effective_epoch
        )
        way = route(ledger, signing.address(), call)
        if way.announced is None:
            require_acceptable(ledger, draft, way.delay_seconds)
        changed = [f"{name}: {old} → {new}" for name, old, new in policy_changes(draft.before.policy, draft.policy)]
        act(
            ledger, way, signing, "policy", broadcast=broadcast, output=output,
            facts={"against": f"policy {draft.before.version}", "changes": "; ".join(changed),
                   "effective_epoch": effective_epoch, **about},
        )  # fmt: skip


@app.command()
def status(
    every: Annotated[bool, typer.Option("--all", help="also what was executed, cancelled or has expired")] = False,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """What governors have announced: the decoded call, from when it may be executed, when it expires."""
    from ledger.steps.governing.operations import OPEN_OPERATIONS, operations
    from ledger.steps.governing.policy_change import history

    with reading(workspace) as ledger:
        settlement = ledger.settlement()
        at = settlement.connection.head()
        kept = [each for each in operations(settlement, at) if every or each.state in OPEN_OPERATIONS]
        latest = history(ledger)[0].standing[-1]
    emit_rows([shown_operation(each) | {"changes": _proposed(each, latest)} for each in kept], output)
    talk(f"as of block {at.number}, time {at.timestamp}")


@app.command()
def execute(
    operation: OperationArgument,
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """Do what was announced, once its delay has passed; by the account that announced it."""
    from ledger.steps.governing.govern import execution

    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        found, call = execution(ledger, signing.address(), operation_argument(ledger, operation))
        if call is None:
            already("it was executed already", output, shown_operation(found))
            return
        facts = shown_operation(found) | ({"state": "executed"} if broadcast else {})
        send(ledger, call, signing, "execute", broadcast=broadcast, output=output, facts=facts)


@app.command()
def cancel(
    operation: Annotated[str | None, typer.Argument(help="an announced operation's id")] = None,
    effective_epoch: Annotated[
        int | None, typer.Option(min=0, help="instead: the scheduled policy of this epoch, and all later ones")
    ] = None,
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """Take back an announced operation (whoever announced it, or the guardian) or a scheduled policy (the guardian)."""
    from ledger.steps.governing.govern import cancellation, route
    from ledger.steps.governing.policy_change import history

    if (operation is None) == (effective_epoch is None):
        raise UsageError("name an operation, or a scheduled policy with --effective-epoch")
    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        if operation is not None:
            found, call = cancellation(ledger, operation_argument(ledger, operation))
            if call is None:
                already("it was cancelled already", output, shown_operation(found))
                return
            facts = shown_operation(found) | ({"state": "cancelled"} if broadcast else {})
            send(ledger, call, signing, "cancel", broadcast=broadcast, output=output, facts=facts)
            return
        epoch = EpochNumber(effective_epoch or 0)
        known, _, _ = history(ledger)
        of_epoch = [each for each in known.announced if each.effective_epoch == epoch]
        if of_epoch and all(each.is_cancelled for each in of_epoch):
            already(f"the policy of epoch {epoch} was cancelled already", output)
            return
        settlement = ledger.settlement()
        call = settlement.deployment.policy_registry(settlement.connection).cancel(epoch)
        later = [each.version for each in known.standing if each.effective_epoch >= epoch]
        act(
            ledger, route(ledger, signing.address(), call), signing, "cancel-policy", broadcast=broadcast,
            output=output, facts={"cancels_versions": ", ".join(map(str, later))},
        )  # fmt: skip


def _proposed(operation: "Operation", latest: "ScheduledPolicy") -> str:
    """What an announced policy would change against the latest scheduled; empty for every other call."""
    from ledger.chain.following.governed import policy_from
    from ledger.steps.governing.policy_change import policy_changes

    if "policy" not in operation.call.meaning.arguments:
        return ""
    proposed = policy_from(operation.call.meaning.arguments["policy"])
    return "; ".join(f"{name}: {old} → {new}" for name, old, new in policy_changes(latest.policy, proposed))
