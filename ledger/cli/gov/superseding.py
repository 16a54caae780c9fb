"""`ath-ledger gov supersede`: the governor replaces a wrong claim tree that is active already."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.acting import act, already, ledger_for
from ledger.cli.shared.opening import WorkspaceOption
from ledger.cli.shared.output import talk
from ledger.cli.shared.signing import (
    BroadcastOption,
    CallFormat,
    CallOutput,
    FromOption,
    KeystoreOption,
    PasswordOption,
    Signing,
    refuse_broadcast,
)
from ledger.model.errors import UsageError

if TYPE_CHECKING:
    from ledger.steps.correcting.draft import Correction

_SHOWN_CHANGES = 5


def supersede(
    reason: Annotated[str, typer.Option(help="why; it is hashed into the entry, so always state it alike")],
    tree: Annotated[
        Path | None, typer.Option(help="JSON with every leaf: [[address, wei], …]; what is left out loses its leaf")
    ] = None,
    account: Annotated[
        list[str] | None, typer.Option(help="instead: correct this account's leaf; repeat, each with --cumulative")
    ] = None,
    cumulative: Annotated[list[str] | None, typer.Option(help="what that leaf is to hold in all, in wei")] = None,
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """Correct the claim tree of the last epoch: while claims are paused and nothing is in its window.

    No money moves. No leaf may fall below what its account has claimed, and all leaves together not exceed what
    was paid in. An epoch that was sealed on the wrong tree is taken back and sealed again on the corrected one.
    """
    from ledger.model.units import to_hex
    from ledger.steps.correcting.draft import keep, prepare, standing_epoch
    from ledger.steps.correcting.leaves import read_leaves, stated_leaves
    from ledger.steps.governing.govern import route

    if (tree is None) == (not account):
        raise UsageError("give the whole tree with --tree FILE, or leaves with --account ADDRESS --cumulative WEI")
    refuse_broadcast(output, broadcast=broadcast)
    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    # another wallet will send it: this ledger has to know the tree by then, or it could not book the correction
    writes = broadcast or output.is_for_another_wallet
    with ledger_for(workspace, broadcast=writes) as ledger:
        _, before = standing_epoch(ledger)
        leaves = read_leaves(tree) if tree is not None else stated_leaves(before, account or [], cumulative or [])
        made = prepare(ledger, leaves, reason)
        if made.is_on_chain:
            if writes:
                keep(ledger, made)
            already("the chain has this correction already; it is booked when it is final", output, _facts(made))
            return
        way = route(ledger, signing.address(), ledger.settlement().rewards_ledger.supersede_root(made.header))
        if writes:
            keep(ledger, made)
            talk(f"kept the corrected tree of epoch {made.header.epoch}: root {to_hex(made.header.claim_root)}")
        act(ledger, way, signing, "supersede", broadcast=broadcast, output=output, facts=_facts(made))
        if broadcast:
            talk("Once it is executed and final: ath-ledger run --until-idle books it, then gov resume")


def _facts(made: "Correction") -> dict[str, Any]:
    from ledger.model.units import to_hex
    from ledger.tree.keccak import checksum_address

    changed = [f"{checksum_address(account)} {change:+d} wei" for account, change in made.changes_wei.items()]
    more = len(changed) - _SHOWN_CHANGES
    return {
        "epoch": made.header.epoch,
        "correction": made.stored.number,
        "changes": "; ".join(changed[:_SHOWN_CHANGES]) + (f"; and {more} more" if more > 0 else ""),
        "claim_root": to_hex(made.header.claim_root),
        "ledger_head": to_hex(made.header.ledger_head),
        "correction_header": to_hex(made.stored.header_hash),
        "seals_again": ", ".join(str(each.epoch) for each in made.retakes),
    }
