"""`ath-ledger carbon`: what the vault received, owes and paid for, and retirements out of it."""

from typing import Annotated

import typer

from ledger.cli.shared.acting import act, already, ledger_for
from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of
from ledger.cli.shared.output import Format, Output, emit_rows, talk
from ledger.cli.shared.signing import (
    BroadcastOption,
    CallFormat,
    CallOutput,
    FromOption,
    KeystoreOption,
    PasswordOption,
    Signing,
    parse_account,
)
from ledger.model.errors import MismatchError, UsageError

app = typer.Typer(name="carbon", help="The carbon vault: per epoch, and retirements.", no_args_is_help=True)


class VaultDiffersError(MismatchError):
    """The vault and the books disagree."""

    code = "carbon.vault-differs"
    default_hint = "ath-ledger audit reconcile"


@app.command()
def show(workspace: WorkspaceOption = None, output: Output = Format.TABLE) -> None:
    """Per epoch: received, owed, paid for, retired, on chain and in the books; price, cap, liability carried on.

    Read at the block the books are final to. What is paid for and retired covers the oldest epochs first.
    """
    from ledger.steps.vault import vault_standing

    with reading(workspace) as ledger:
        found = vault_standing(ledger)
        standing = standing_of(ledger)
    emit_rows([each.row() for each in found.epochs], output, standing)
    talk(
        f"at block {found.block}: the vault holds {found.chain_held_wei} wei and spent {found.chain_spent_wei} wei; "
        f"the books say {found.books_held_wei} and {found.books_spent_wei}"
    )
    if found.differences:
        raise VaultDiffersError("; ".join(found.differences[:5]))


@app.command()
def retire(
    grams: Annotated[int, typer.Option(min=1, help="grams of CO2e that were retired")],
    payment: Annotated[str, typer.Option(metavar="WEI", help="what the supplier is paid, in wei")],
    supplier: Annotated[str, typer.Option(metavar="ADDRESS", help="who is paid")],
    certificate_hash: Annotated[
        str, typer.Option(metavar="HASH", help="hash of the certificate, 0x and 64 digits; each counts once")
    ],
    uri: Annotated[str, typer.Option(help="where the certificate can be read")],
    workspace: WorkspaceOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    broadcast: BroadcastOption = False,
    output: CallOutput = CallFormat.TABLE,
) -> None:
    """Pay a supplier out of the vault for carbon that was retired, against the oldest epochs. For the RETIRER.

    Never more grams than were paid for, at most twice the governed price. The same retirement twice is harmless.
    """
    from ledger.model.units import Hash32, Wei, from_hex
    from ledger.steps.governing.govern import route
    from ledger.steps.vault import retirement_is_done, vault_of

    if not (payment.isascii() and payment.isdecimal()) or int(payment) >= 2**256:
        raise UsageError(f"--payment: {payment[:80]!r} is no whole number of wei")
    try:
        certificate = Hash32(from_hex(certificate_hash, 32))
    except ValueError as error:
        raise UsageError(f"--certificate-hash: {error}") from error
    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    to = parse_account(supplier, "--supplier")
    with ledger_for(workspace, broadcast=broadcast) as ledger:
        settlement = ledger.settlement()
        call = vault_of(settlement).retire(grams, Wei(int(payment)), to, certificate, uri)
        facts = {"grams": grams, "micrograms": str(grams * 10**6), "payment_wei": payment, "uri": uri}
        if retirement_is_done(settlement, call):
            already("this retirement is on chain already", output, facts)
            return
        act(ledger, route(ledger, signing.address(), call), signing, "retire", broadcast=broadcast, output=output,
            facts=facts)  # fmt: skip
        if broadcast:
            talk("Once it is final, ath-ledger run books it: ath-ledger carbon show")
