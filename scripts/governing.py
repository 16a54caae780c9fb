"""What the governance scripts share: their options, and one decision taken as far as it can go now.

Every script is a dry run until --broadcast. A decision in a role with a delay takes two runs of the same command:
the first announces it, the second, after the delay, executes it. A third says that it is done.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ledger.chain.contracts.contract import Call
from ledger.chain.sending.signer import open_keystore, read_password
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber
from ledger.steps.governing.enact import Enactment, Stage, enact
from ledger.steps.governing.policy_change import draft_policy, policy_changes, require_acceptable
from ledger.steps.ledger import Ledger
from ledger.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A call whose effect is wanted; `require` raises what the contract would refuse once the delay is over."""

    call: Call
    meaning: str
    require: Callable[[int], None] = lambda _delay_seconds: None


def options(description: str) -> argparse.ArgumentParser:
    """The options every script has."""
    parser = argparse.ArgumentParser(
        description=description.partition("\n\n")[0], epilog="Nothing is sent without --broadcast."
    )
    parser.add_argument("--workspace", type=Path, required=True, help="the ledger's folder")
    parser.add_argument("--keystore", type=Path, required=True, help="version 3 keystore of the account that acts")
    parser.add_argument("--password-file", type=Path, required=True, help="file whose first line unlocks it")
    parser.add_argument("--broadcast", action="store_true", help="send it; without, only say what would be sent")
    return parser


def govern(given: argparse.Namespace, purpose: str, decide: Callable[[Ledger], Decision | None]) -> int:
    """Take the decision that `decide` makes of the ledger's state; None when its effect is there already."""
    try:
        signer = open_keystore(given.keystore, read_password(given.password_file))
        ledger = Workspace.at(given.workspace).open(read_only=not given.broadcast)
        try:
            decision = decide(ledger)
            if decision is None:
                print("done already")
                return 0
            print(decision.meaning)
            enacted = enact(ledger, signer, decision.call, purpose, broadcast=given.broadcast, require=decision.require)
        finally:
            ledger.close()
    except LedgerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    _tell(enacted)
    return 0


def policy_decision(ledger: Ledger, effective_epoch: int, **wanted: int) -> Decision | None:
    """The latest scheduled policy with some parameters changed, from an epoch on; None when it is scheduled."""
    draft = draft_policy(ledger, wanted, EpochNumber(effective_epoch), is_whole=False)
    if draft.is_scheduled:
        return None
    settlement = ledger.settlement()
    registry = settlement.deployment.policy_registry(settlement.connection)
    changes = "; ".join(
        f"{name}: {old} → {new}" for name, old, new in policy_changes(draft.before.policy, draft.policy)
    )
    return Decision(
        call=registry.schedule(draft.policy, draft.effective_epoch),
        meaning=f"against policy {draft.before.version}, from epoch {effective_epoch} on: {changes}",
        require=lambda delay_seconds: require_acceptable(ledger, draft, delay_seconds),
    )


def _tell(enacted: Enactment) -> None:
    if enacted.operation_id is not None:
        print(f"operation 0x{enacted.operation_id.hex()}, executable from {enacted.ready_at} on")
    if enacted.tx_hash is not None:
        print(f"transaction 0x{enacted.tx_hash.hex()}")
    if enacted.next_transaction is not None:
        to, calldata = enacted.next_transaction.to, enacted.next_transaction.calldata
        print(f"would send {enacted.next_transaction.contract}.{enacted.next_transaction.meaning.name}")
        print(f"to 0x{to.hex()} calldata 0x{calldata.hex()}")
    match enacted.stage:
        case Stage.PLANNED:
            print("dry run: nothing was sent; add --broadcast to send it")
        case Stage.ANNOUNCED:
            print("announced; run the same command again once its delay has passed")
        case Stage.DONE:
            print("done")
