"""`ath-ledger gov revoke-epoch`, `reopen`, `pause`, `supersede`, `resume`: stopping at once, going on with notice."""

import typer

from ledger.cli.gov.superseding import supersede
from ledger.cli.shared.acting import act, already, ledger_for
from ledger.cli.shared.opening import WorkspaceOption
from ledger.cli.shared.signing import (
    BroadcastOption,
    CallFormat,
    CallOutput,
    FromOption,
    KeystoreOption,
    PasswordOption,
    Signing,
)


def add_to(app: typer.Typer) -> None:
    """Put the commands into `gov`."""
    app.command("revoke-epoch")(revoke_epoch)
    app.command("reopen")(reopen)
    app.command("pause")(pause)
    app.command("supersede")(supersede)
    app.command("resume")(resume)


def revoke_epoch(
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """The guardian throws the epoch in its window away; proposals stay closed until `gov reopen`."""
    from ledger.steps.governing.govern import pending_header, route

    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        settlement = ledger.settlement()
        at = settlement.connection.head()
        if settlement.rewards_ledger.pending(at.hash) is None and not settlement.rewards_ledger.proposals_open(at.hash):
            already("nothing is pending and proposals are closed already", output)
            return
        header = pending_header(settlement, at)
        call = settlement.rewards_ledger.revoke_epoch(header)
        act(
            ledger, route(ledger, signing.address(), call), signing, "revoke-epoch", broadcast=broadcast,
            output=output, facts={"epoch": header.epoch, "payout_wei": header.payout},
        )  # fmt: skip


def reopen(
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """The governor lets the publisher propose again, after a revocation."""
    from ledger.steps.governing.govern import route

    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        contract = ledger.settlement().rewards_ledger
        if contract.proposals_open("latest"):
            already("proposals are open already", output)
            return
        way = route(ledger, signing.address(), contract.reopen_proposals())
        act(ledger, way, signing, "reopen", broadcast=broadcast, output=output, facts={})


def pause(
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """The guardian lets claims and activations rest; nothing is lost."""
    from ledger.steps.governing.govern import route

    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        contract = ledger.settlement().rewards_ledger
        if contract.is_paused("latest"):
            already("claims are paused already", output)
            return
        way = route(ledger, signing.address(), contract.pause_claims())
        act(ledger, way, signing, "pause", broadcast=broadcast, output=output, facts={})


def resume(
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """The governor lets claims and activations go on."""
    from ledger.steps.governing.govern import route

    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        contract = ledger.settlement().rewards_ledger
        if not contract.is_paused("latest"):
            already("claims are not paused", output)
            return
        way = route(ledger, signing.address(), contract.resume_claims())
        act(ledger, way, signing, "resume", broadcast=broadcast, output=output, facts={})
