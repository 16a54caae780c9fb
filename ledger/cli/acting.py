"""From a decided call to its answer: what exists, the calldata, the dry run, or the sent transaction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ledger.cli.output import emit_fact, talk
from ledger.cli.signing import CallFormat, Signing, call_fact, print_calldata
from ledger.model.errors import UsageError

if TYPE_CHECKING:
    from ledger.chain.contracts import Call
    from ledger.model.units import Hash32
    from ledger.steps.govern import Route
    from ledger.steps.ledger import Ledger
    from ledger.steps.operations import Operation


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
    from ledger.steps.transition import utc

    if way.operation_id is None:
        send(ledger, way.transaction, signing, purpose, broadcast=broadcast, output=output, facts=facts)
        return
    operation = "0x" + way.operation_id.hex()
    announced = {
        "operation": operation,
        "announces": str(way.call),
        "delay_seconds": way.delay_seconds,
        "ready_at": way.ready_at,
        "ready_at_utc": utc(way.ready_at),
        **facts,
    }
    if way.announced is not None:
        talk(f"this is announced already and {way.announced.state}. Next: ath-ledger gov execute {operation}")
        emit_fact(announced, output.answer)
        return
    send(
        ledger, way.transaction, signing, f"announce-{purpose}", broadcast=broadcast, output=output, facts=announced
    )  # fmt: skip
    if broadcast and output is not CallFormat.CALLDATA:
        talk(f"Next: from {utc(way.ready_at)} on, ath-ledger gov execute {operation}")


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
    from ledger.chain.transact import plan_transaction
    from ledger.steps.sending import send_once
    from ledger.tree.keccak import checksum_address

    if output is CallFormat.CALLDATA:
        if broadcast:
            raise UsageError("-o calldata is for another wallet to send", hint="leave --broadcast out")
        print_calldata(call)
        return
    settlement = ledger.settlement()
    sender = signing.address()
    if not broadcast:
        planned = plan_transaction(settlement.connection, sender, call, settlement.fees)
        emit_fact(
            {
                **facts,
                **call_fact(call),
                "from": checksum_address(sender),
                "nonce": planned.transaction.nonce,
                "gas_limit": planned.transaction.gas,
                "max_cost_coin": str(planned.max_cost_wei),
            },
            output.answer,
        )
        talk("dry run: the contract accepts this now; nothing was sent. Next: the same command with --broadcast")
        return
    entry = send_once(ledger, signing.signer(settlement.connection), call, purpose)
    talk(f"{entry.state} in block {entry.block_number}")
    emit_fact(
        {
            **facts,
            "call": str(call),
            "from": checksum_address(sender),
            "nonce": entry.nonce,
            "transaction": "0x" + entry.tx_hash.hex() if entry.tx_hash else None,
            "block": entry.block_number,
            "outbox_key": entry.key,
        },
        output.answer,
    )


def shown_operation(operation: "Operation") -> dict[str, Any]:
    """An announcement for people."""
    from ledger.steps.transition import utc
    from ledger.tree.keccak import checksum_address

    return {
        "operation": "0x" + operation.operation_id.hex(),
        "state": operation.state.value,
        "ready_at": operation.ready_at,
        "ready_at_utc": utc(operation.ready_at),
        "expires_at": operation.expires_at,
        "caller": checksum_address(operation.caller),
        "call": str(operation.call),
    }


def operation_argument(ledger: "Ledger", text: str) -> "Hash32":
    """The operation a person named by its id or its first digits. UsageError when several or none begin so."""
    from ledger.steps.operations import operations

    settlement = ledger.settlement()
    known = {each.operation_id for each in operations(settlement, settlement.connection.head())}
    digits = text.lower().removeprefix("0x")
    found = sorted(each for each in known if digits and each.hex().startswith(digits))
    if len(found) != 1:
        what = "no announced operation begins" if not found else f"{len(found)} announced operations begin"
        raise UsageError(f"{what} with {text!r}", hint="ath-ledger gov status --all")
    return found[0]
