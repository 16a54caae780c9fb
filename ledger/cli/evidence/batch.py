"""`ath-ledger batch`: what a verifier does with evidence, from records (`drafting`) to the verdict on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.evidence import drafting
from ledger.cli.evidence.batch_files import batch_in, evidence_files, header_fact, read_bytes
from ledger.cli.evidence.handing_in import hand_in
from ledger.cli.evidence.options import (
    DryRunUnlessBroadcast,
    OutOption,
    parse_hash,
    print_message,
    print_receipts,
    receipt_row,
    write_new,
)
from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of, writing
from ledger.cli.shared.output import Format, Output, emit_fact, emit_rows, talk
from ledger.cli.shared.remote import UrlOption, elsewhere, emit_found, emit_pages
from ledger.cli.shared.signing import FromOption, KeystoreOption, PasswordOption, Signing, parse_account
from ledger.model.errors import LedgerError, UsageError
from ledger.model.units import EpochNumber

if TYPE_CHECKING:
    from ledger.steps.intake.collect import Receipt

app = typer.Typer(
    name="batch", help="Evidence: making, signing, sending batches; where they are.", no_args_is_help=True
)
drafting.add_to(app)

UidArgument = Annotated[str, typer.Argument(metavar="UID", help="the batch's uid, 0x and 64 hex digits")]


@app.command()
def submit(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, help="files, or folders of files")],
    workspace: WorkspaceOption = None,
    url: UrlOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Send evidence in: batches, registrations, revocations. Each file gets its receipt; twice is harmless."""
    from ledger.cli.shared.progress import tracked
    from ledger.steps.intake.collect import submit as take_in

    found = list(evidence_files(files))
    if not found:
        raise UsageError("there is no .parquet or .json file in there", hint="name the files themselves")
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            hand_in(asked, [(str(file), read_bytes(file)) for file in found], output)
            return
    receipts: list[tuple[str, Receipt]] = []
    with writing(workspace) as ledger:
        try:
            for file in tracked(found, len(found), "sending"):
                receipts.append((str(file), take_in(ledger, read_bytes(file))))
        except (LedgerError, OSError, KeyboardInterrupt):
            # what was taken in stays taken in: say so before the failure is told
            if receipts:
                emit_rows([receipt_row(file, receipt) for file, receipt in receipts], output)
            talk(f"{len(receipts)} of {len(found)} files were dealt with; sending all again is harmless")
            raise
    print_receipts(receipts, output)


@app.command()
def status(
    uid: UidArgument, workspace: WorkspaceOption = None, url: UrlOption = None, output: Output = Format.TABLE
) -> None:
    """Where a batch is: admitted or refused, in which epoch, and once that is computed, the verdict on it."""
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            emit_found(asked.show_batch(uid), output)
            return
    from ledger.steps.answers.batch_standing import batch_status

    with reading(workspace) as ledger:
        emit_fact(batch_status(ledger, parse_hash(uid, "UID")), output, standing_of(ledger))


@app.command()
def show(
    what: Annotated[str, typer.Argument(metavar="UID|FILE", help="a batch's uid, or a batch file")],
    records: Annotated[int, typer.Option(min=0, help="how many records to show")] = 3,
    first: Annotated[int, typer.Option(min=0, help="from which one on, in key order")] = 0,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """A batch's header and its first records, masks and hourly arrays decoded. Nothing is judged."""
    from ledger.evidence.items.readable import readable_record
    from ledger.evidence.storage.store import stored_batch

    with reading(workspace) as ledger:
        batch = (
            batch_in(ledger, Path(what))
            if Path(what).is_file()
            else stored_batch(ledger.evidence, parse_hash(what, "UID"), ledger.domain)
        )
        fact = header_fact(batch)
        schema = batch.header.schema
        if schema is not None:
            rows = batch.records().slice(first, records).iter_rows(named=True)
            fact |= {f"record {place}": readable_record(schema, row) for place, row in enumerate(rows, first)}
        emit_fact(fact, output)


@app.command("list")
def list_batches(
    epoch: Annotated[int | None, typer.Option(min=0, help="only this epoch's")] = None,
    verifier: Annotated[str | None, typer.Option(help="only this verifier's")] = None,
    workspace: WorkspaceOption = None,
    url: UrlOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Admitted batches in the order they arrived."""
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            emit_pages(asked.list_batches(epoch=epoch, verifier=verifier), output, leave_out="arrival")
            return
    from ledger.steps.answers.batch_standing import batch_rows

    account = parse_account(verifier, "--verifier") if verifier else None
    with reading(workspace) as ledger:
        rows = batch_rows(ledger, None if epoch is None else EpochNumber(epoch), account)
        emit_rows(rows, output, standing_of(ledger))


@app.command()
def revoke(
    uid: UidArgument,
    reason: Annotated[int, typer.Option(min=0, max=255, help="a number of your own; it is published")],
    record: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="only this record, by its index in key order")
    ] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    out: OutOption = None,
    broadcast: DryRunUnlessBroadcast = False,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Take a batch back, or one record of it, before its epoch's cut-off."""
    from ledger.evidence.items.revocation import WHOLE_BATCH, Revocation, SignedRevocation
    from ledger.evidence.items.typed_data import REVOCATION
    from ledger.evidence.storage.item_files import write_revocation
    from ledger.steps.intake.collect import submit as take_in

    with writing(workspace) if broadcast else reading(workspace) as ledger:
        revocation = Revocation(
            batch_uid=parse_hash(uid, "UID"),
            record=WHOLE_BATCH if record is None else record,
            reason=reason,
            revoked_at=ledger.clock.now(),
        )
        if not broadcast and out is None:
            print_message(ledger.domain, REVOCATION, revocation)
            return
        key = Signing(keystore=keystore, password_file=password_file, sender=sender).key()
        digest = revocation.digest(ledger.domain)
        signed = SignedRevocation(uid=digest, revocation=revocation, signature=key.sign_digest(digest))
        content = write_revocation(signed, ledger.domain)
        if out is not None:
            write_new(out, content)
            talk(f"wrote {out}. Next: ath-ledger batch submit {out}")
        if broadcast:
            print_receipts([(str(out or ""), take_in(ledger, content))], output)
