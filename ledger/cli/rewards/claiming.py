"""`ath-ledger rewards claim` and `set-payee`: a dry run first, harmless when repeated."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading, workspace_at
from ledger.cli.shared.output import emit_fact, talk
from ledger.cli.shared.signing import (
    BroadcastOption,
    CallFormat,
    CallOutput,
    FromOption,
    KeystoreOption,
    PasswordOption,
    Signing,
    call_fact,
    parse_account,
    print_for_wallet,
    refuse_broadcast,
)

if TYPE_CHECKING:
    from ledger.chain.contracts.contract import Call
    from ledger.model.units import Address
    from ledger.steps.claim import Claim
    from ledger.steps.ledger import Ledger


def add_to(app: typer.Typer) -> None:
    """Put the commands into `rewards`."""
    app.command("claim")(claim)
    app.command("set-payee")(set_payee)


def claim(
    operator: Annotated[
        str | None, typer.Option("--operator", help="whose rewards (default: the account of the key)")
    ] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    workspace: WorkspaceOption = None,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """Claim everything an operator has earned and not withdrawn; anybody may pay for it, the payee receives it.

    Without --broadcast nothing is sent: the decoded call, amounts, payee, nonce, fee cap and the journal's lines
    to come are shown. Claiming again when there is nothing left shows the claims there are.
    """
    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    account = parse_account(operator, "--operator") if operator is not None else signing.address()
    refuse_broadcast(output, broadcast=broadcast)
    with _open(workspace, broadcast=broadcast) as (ledger, may_write):
        _claim(ledger, account, signing, broadcast=broadcast, may_write=may_write, output=output)


def set_payee(
    payee: Annotated[str, typer.Option("--payee", help="who receives the operator's later claims")],
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    workspace: WorkspaceOption = None,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """Let the operator's later claims go to another account; naming the operator itself undoes it.

    The operator signs: --keystore, or --from for an account the node manages.
    """
    from ledger.steps.claim import payee_call, plan
    from ledger.tree.keccak import checksum_address

    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    operator, wanted = signing.address(), parse_account(payee, "--payee")
    refuse_broadcast(output, broadcast=broadcast)
    with _open(workspace, broadcast=broadcast) as (ledger, may_write):
        present, call = payee_call(ledger, operator, wanted)
        fact: dict[str, Any] = {
            "operator": checksum_address(operator),
            "payee": checksum_address(present),
            "wanted": checksum_address(wanted),
        }
        if output.is_for_another_wallet:
            print_for_wallet(call, output, ledger.settlement().connection, operator, fact)
        elif present == (wanted if any(wanted) else operator):
            emit_fact(fact, output.answer)
            talk("claims go there already; nothing to send")
        elif not broadcast:
            emit_fact({**fact, **_planned(plan(ledger, operator, call))}, output.answer)
            talk("dry run: nothing was sent. Next: the same command with --broadcast")
        else:
            sent = _send(ledger, signing, call, "set-payee", may_write=may_write)
            emit_fact({**fact, "payee": checksum_address(wanted), **sent}, output.answer)


def _claim(
    ledger: "Ledger",
    account: "Address",
    signing: Signing,
    *,
    broadcast: bool,
    may_write: bool,
    output: CallFormat,
) -> None:
    from ledger.steps.claim import claim_of, plan

    found = claim_of(ledger, account)
    if output.is_for_another_wallet:
        sender = signing.address() if signing.is_named else account
        print_for_wallet(found.quote.call, output, ledger.settlement().connection, sender)
    elif found.quote.is_settled:
        if broadcast and may_write:
            _follow(ledger)
        emit_fact({**_claim_fact(found), "claims": _past(ledger, account)}, output.answer)
        talk("nothing is left to claim; nothing to send")
    elif not broadcast:
        sender = signing.address() if signing.is_named else account
        planned = _planned(plan(ledger, sender, found.quote.call))
        emit_fact({**_claim_fact(found), **planned, "journal": _journal(found)}, output.answer)
        talk("dry run: the contract accepts this now; nothing was sent. Next: the same command with --broadcast")
    else:
        sent = _send(ledger, signing, found.quote.call, "claim", may_write=may_write)
        after = claim_of(ledger, account)
        emit_fact({**_claim_fact(after), **sent, "claims": _past(ledger, account)}, output.answer)


def _claim_fact(found: "Claim") -> dict[str, Any]:
    from ledger.tree.keccak import checksum_address

    quote = found.quote
    return {
        "operator": checksum_address(quote.account),
        "payee": checksum_address(quote.payee),
        "epoch": found.epoch,
        "amount_wei": quote.cumulative_wei,
        "claimed_wei": quote.claimed_wei,
        "claimable_wei": quote.claimable_wei,
        "root": "settled" if quote.root is None else quote.root.value,
        "block": quote.block,
    }


def _planned(planned: Any) -> dict[str, Any]:
    """A transaction before it is signed; fees are in the chain's own coin, not in ATH."""
    from ledger.tree.keccak import checksum_address

    transaction = planned.transaction
    return {
        **call_fact(planned.call),
        "from": checksum_address(planned.sender),
        "nonce": transaction.nonce,
        "gas_limit": transaction.gas,
        "max_fee_per_gas_coin": str(transaction.max_fee_per_gas_wei),
        "max_cost_coin": str(planned.max_cost_wei),
    }


def _journal(found: "Claim") -> list[dict[str, Any]]:
    return [
        {"debit": line.debit, "credit": line.credit, "amount_wei": line.amount, "code": line.code.value}
        for line in found.transfers
    ]


def _past(ledger: "Ledger", account: "Address") -> list[dict[str, Any]]:
    from ledger.steps.claim import past_claims
    from ledger.tree.keccak import checksum_address

    return [
        {
            "amount_wei": each.amount_wei,
            "cumulative_wei": each.cumulative_wei,
            "payee": checksum_address(each.payee),
            "block": each.block,
            "transaction": "0x" + each.transaction.hex(),
            "in_the_books": each.is_booked,
        }
        for each in past_claims(ledger, account)
    ]


def _send(ledger: "Ledger", signing: Signing, call: "Call", purpose: str, *, may_write: bool) -> dict[str, Any]:
    from ledger.steps.claim import send_call
    from ledger.tree.keccak import checksum_address

    signer = signing.signer(ledger.settlement().connection)
    sent = send_call(ledger, signer, call, purpose)
    talk(f"0x{sent.transaction.hex()} is mined in block {sent.block}")
    if may_write:
        _follow(ledger)
    return {
        **call_fact(call),
        "from": checksum_address(signer.address),
        "nonce": sent.nonce,
        "transaction": "0x" + sent.transaction.hex(),
        "mined_in_block": sent.block,
    }


def _follow(ledger: "Ledger") -> None:
    """Let the books take in what is final by now; a claim that is not yet will be taken in by the next command."""
    from ledger.steps.transitions.follow import follow
    from ledger.steps.transitions.transition import sentence

    for moved in follow(ledger):
        talk(sentence(moved))


@contextmanager
def _open(given: Path | None, *, broadcast: bool) -> Iterator[tuple["Ledger", bool]]:
    """The ledger, to be written if it may be: a claim needs the books only to be read."""
    from ledger.workspace import WorkspaceBusyError

    if not broadcast:
        with reading(given) as ledger:
            yield ledger, False
        return
    with ExitStack() as stack:
        place = workspace_at(given)
        may_write = True
        try:
            stack.enter_context(place.writing())
        except (WorkspaceBusyError, PermissionError) as error:
            may_write = False
            talk(f"the books are not written by this command ({error}); the next one that writes takes the claim in")
        ledger = place.open(read_only=not may_write)
        stack.callback(ledger.close)
        yield ledger, may_write
