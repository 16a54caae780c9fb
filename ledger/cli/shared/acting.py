"""From a decided call to its answer: what exists, the calldata, the dry run, or the sent transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.cli.shared.opening import workspace_at
from ledger.cli.shared.output import emit_fact, talk
from ledger.cli.shared.signing import CallFormat, Signing, call_fact, call_text, print_for_wallet, refuse_broadcast
from ledger.model.errors import UsageError

if TYPE_CHECKING:
    from ledger.chain.contracts.contract import Call
    from ledger.model.units import Hash32
    from ledger.steps.governing.govern import Route
    from ledger.steps.governing.operations import Operation
    from ledger.steps.ledger import Ledger


@contextmanager
def ledger_for(given: Path | None, *, broadcast: bool) -> Iterator["Ledger"]:
    """The ledger, to be written when something will be sent.

    Without the workspace's lock, which `run` holds as long as it works: a guardian must not wait for it. The
    outbox has a lock of its own for each sender, and every step of it is one transaction.
    """
    ledger = workspace_at(given).open(read_only=not broadcast)
    try:
        yield ledger
    finally:
        ledger.close()


def already(message: str, output: CallFormat, facts: Mapping[str, Any] | None = None) -> None:
    """What was asked for is there: say so and show it; the command succeeds."""
    talk(message)
    emit_fact(facts or {"already": message}, output.answer)


def act(
    ledger: "Ledger",
    way: "Route",
    signing: Signing,
    purpose: str,
    *,
    broadcast: bool,
    output: CallFormat,
    facts: Mapping[str, Any],
) -> None:
    """Do a call in a role, or announce it; an announcement that stands already is shown and not repeated."""
    from ledger.steps.governing.operations import latest, operations
    from ledger.steps.transitions.transition import utc

    if way.operation_id is None:
        send(ledger, way.transaction, signing, purpose, broadcast=broadcast, output=output, facts=facts)
        return
    if way.announced is not None:
        message = f"this is announced already and {way.announced.state}"
        already(message, output, shown_operation(way.announced) | dict(facts))
        talk(f"Next: ath-ledger gov execute 0x{way.operation_id.hex()}")
        return
    settlement = ledger.settlement()
    planned = {
        "operation": "0x" + way.operation_id.hex(),
        "announces": call_text(way.call),
        "delay_seconds": way.delay_seconds,
        "ready_at": way.ready_at,
        "ready_at_utc": utc(way.ready_at),
        "then": call_text(settlement.deployment.access_manager(settlement.connection).execute(way.call)),
        **facts,
    }
    if not broadcast or output.is_for_another_wallet:
        send(ledger, way.transaction, signing, purpose, broadcast=broadcast, output=output, facts=planned)
        return
    sent = _sent(ledger, way.transaction, signing, f"announce-{purpose}")
    announced = latest(operations(settlement, settlement.connection.head()), way.operation_id)
    emit_fact(shown_operation(announced) | dict(facts) | sent, output.answer)
    talk(f"Next: from {utc(announced.ready_at)} on, ath-ledger gov execute 0x{way.operation_id.hex()}")


def send(
    ledger: "Ledger",
    call: "Call",
    signing: Signing,
    purpose: str,
    *,
    broadcast: bool,
    output: CallFormat,
    facts: Mapping[str, Any],
) -> None:
    """Show what a transaction would do and cost, or send it once. A refusal is decoded before anything is signed."""
    from ledger.chain.sending.transact import plan_transaction
    from ledger.tree.keccak import checksum_address

    refuse_broadcast(output, broadcast=broadcast)
    if output.is_for_another_wallet:
        print_for_wallet(call, output, ledger.settlement().connection, signing.address(), facts)
        return
    if broadcast:
        emit_fact({**facts, **_sent(ledger, call, signing, purpose)}, output.answer)
        return
    settlement = ledger.settlement()
    planned = plan_transaction(settlement.connection, signing.address(), call, settlement.fees)
    emit_fact(
        {
            **facts,
            **call_fact(call),
            "from": checksum_address(planned.sender),
            "nonce": planned.transaction.nonce,
            "gas_limit": planned.transaction.gas,
            "max_cost_coin": str(planned.max_cost_wei),
        },
        output.answer,
    )
    talk("dry run: the contract accepts this now; nothing was sent. Next: the same command with --broadcast")


def _sent(ledger: "Ledger", call: "Call", signing: Signing, purpose: str) -> dict[str, Any]:
    """Send, and say what became of it."""
    from ledger.steps.transactions.sending import send_once
    from ledger.tree.keccak import checksum_address

    entry = send_once(ledger, signing.signer(ledger.settlement().connection), call, purpose)
    talk(f"{entry.state} in block {entry.block_number}")
    return {
        "sent": call_text(call),
        "from": checksum_address(entry.sender),
        "nonce": entry.nonce,
        "transaction": "0x" + entry.tx_hash.hex() if entry.tx_hash else None,
        "block": entry.block_number,
        "outbox_key": entry.key,
    }


def shown_operation(operation: "Operation") -> dict[str, Any]:
    """An announcement for people."""
    from ledger.steps.transitions.transition import utc
    from ledger.tree.keccak import checksum_address

    return {
        "operation": "0x" + operation.operation_id.hex(),
        "state": operation.state.value,
        "ready_at": operation.ready_at,
        "ready_at_utc": utc(operation.ready_at),
        "expires_at": operation.expires_at,
        "caller": checksum_address(operation.caller),
        "call": call_text(operation.call),
    }


def operation_argument(ledger: "Ledger", text: str) -> "Hash32":
    """The operation a person named by its id or its first digits. UsageError when several or none begin so."""
    from ledger.steps.governing.operations import operations

    settlement = ledger.settlement()
    known = {each.operation_id for each in operations(settlement, settlement.connection.head())}
    digits = text.lower().removeprefix("0x")
    found = sorted(each for each in known if digits and each.hex().startswith(digits))
    if len(found) != 1:
        what = "no announced operation begins" if not found else f"{len(found)} announced operations begin"
        raise UsageError(f"{what} with {text!r}", hint="ath-ledger gov status --all")
    return found[0]
