"""`ath-ledger batch`: what a verifier does with evidence, from records to the verdict on them."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.evidence_options import (
    DryRunUnlessBroadcast,
    OutOption,
    parse_hash,
    parse_time,
    print_message,
    print_receipts,
    receipt_row,
    write_new,
)
from ledger.cli.handing_in import hand_in
from ledger.cli.opening import WorkspaceOption, reading, standing_of, writing
from ledger.cli.output import Format, Output, emit_fact, emit_rows, talk
from ledger.cli.remote import UrlOption, elsewhere, emit_found, emit_pages
from ledger.cli.signing import FromOption, KeystoreOption, PasswordOption, Signing, parse_account
from ledger.model.errors import LedgerError, UsageError
from ledger.model.units import EpochNumber, Timestamp, to_hex

if TYPE_CHECKING:
    from ledger.evidence.batch import SignedBatch
    from ledger.steps.collect import Receipt
    from ledger.steps.ledger import Ledger

app = typer.Typer(
    name="batch", help="Evidence: making, signing, sending batches; where they are.", no_args_is_help=True
)

UidArgument = Annotated[str, typer.Argument(metavar="UID", help="the batch's uid, 0x and 64 hex digits")]
_EXPIRES_AFTER_CUT_OFF = 86_400


class SchemaName(StrEnum):
    """The four kinds of records."""

    UPTIME = "uptime"
    ENERGY = "energy"
    RENEWABLE = "renewable"
    GRID = "grid"


@app.command()
def make(
    schema: Annotated[SchemaName, typer.Option(help="what the records are")],
    epoch: Annotated[int, typer.Option(min=0, help="the epoch they belong to")],
    records: Annotated[
        Path, typer.Option("--input", exists=True, dir_okay=False, help="the records: JSON, CSV or Parquet")
    ],
    out: Annotated[Path, typer.Option("--out", help="the draft; .json for the JSON form, else Parquet")],
    verifier: Annotated[
        str | None, typer.Option(help="the account that will sign (default: that of --keystore or --from)")
    ] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    window_start: Annotated[str, typer.Option("--from-time", help="first second (default: the epoch's)")] = "",
    window_end: Annotated[str, typer.Option("--to-time", help="first second after (default: the epoch's end)")] = "",
    issued_at: Annotated[str, typer.Option(help="Unix seconds or ISO 8601 (default: now)")] = "",
    expires_at: Annotated[str, typer.Option(help="default: a day after the epoch's cut-off")] = "",
    sequence: Annotated[int | None, typer.Option(min=0, help="default: the next in the verifier's chain")] = None,
    previous: Annotated[str | None, typer.Option(help="uid of the batch before; goes with --sequence")] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="also with nodes or zones this ledger does not know")
    ] = False,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a batch of records, sorted and checked, not yet signed.

    Its place in the verifier's sequence is found from what this ledger has received.
    """
    from ledger.evidence.files import write_batch, write_batch_json
    from ledger.evidence.record_input import read_records
    from ledger.evidence.records import Window
    from ledger.evidence.typed_data import Schema
    from ledger.steps.preparing.drafting import draft_batch, next_place

    if (sequence is None) != (previous is None) and sequence != 0:
        raise UsageError("--sequence and --previous go together", hint="leave both out to take the next place")
    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    kind, number = Schema[schema.name], EpochNumber(epoch)
    with reading(workspace) as ledger:
        account = parse_account(verifier, "--verifier") if verifier else signing.address()
        calendar = ledger.calendar
        place = (
            next_place(ledger, account, kind, number)
            if sequence is None
            else (sequence, parse_hash(previous or "0x" + "00" * 32, "--previous"))
        )
        draft = draft_batch(
            ledger,
            kind,
            read_records(_read(records), kind),
            verifier=account,
            epoch=number,
            window=Window(
                start=parse_time(window_start, "--from-time") if window_start else calendar.start(number),
                end=parse_time(window_end, "--to-time") if window_end else calendar.end(number),
            ),
            issued_at=parse_time(issued_at, "--issued-at") if issued_at else ledger.clock.now(),
            expires_at=(
                parse_time(expires_at, "--expires-at")
                if expires_at
                else Timestamp(calendar.cut_off(number) + _EXPIRES_AFTER_CUT_OFF)
            ),
            place=place,
            known_names=not unchecked,
        )
        write_new(out, (write_batch_json if out.suffix == ".json" else write_batch)(draft, ledger.domain))
        talk(f"wrote the unsigned {out}. Next: ath-ledger batch sign {out} --keystore FILE --password-file FILE")
        emit_fact({"file": str(out), **_header_fact(draft)}, output)


@app.command()
def sign(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="drafts")],
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    signature: Annotated[
        str | None, typer.Option(help="a wallet's signature of one draft, 65 bytes of 0x-hex, instead of a keystore")
    ] = None,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Sign drafts in place. Signing one again changes nothing.

    Without a keystore or a signature the typed data of the one draft are printed, for a wallet to sign.
    """
    from ledger.evidence.typed_data import ATTESTATION_BATCH
    from ledger.steps.preparing.drafting import require_signable, sign_batch, signed_batch

    with reading(workspace) as ledger:
        drafts = [(file, _batch_in(ledger, file)) for file in files]
        if keystore is None:
            if len(drafts) != 1:
                raise UsageError("a wallet signs one draft at a time", hint="name one FILE, or a --keystore")
            file, draft = drafts[0]
            require_signable(ledger, draft)
            if signature is None:
                print_message(ledger.domain, ATTESTATION_BATCH, draft.header)
                return
            signed = [(file, signed_batch(draft, _signature(signature)))]
        else:
            key = Signing(keystore=keystore, password_file=password_file, sender=sender).key()
            signed = [(file, sign_batch(ledger, draft, key)) for file, draft in drafts]
        for file, batch in signed:
            _rewrite(ledger, file, batch)
        talk(f"signed {len(signed)}. Next: ath-ledger batch submit {' '.join(str(file) for file, _ in signed[:3])}")
        emit_rows([{"file": str(file), "uid": to_hex(batch.uid)} for file, batch in signed], output)


@app.command()
def submit(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, help="files, or folders of files")],
    workspace: WorkspaceOption = None,
    url: UrlOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Send evidence in: batches, registrations, revocations. Each file gets its receipt; twice is harmless."""
    from ledger.cli.progress import tracked
    from ledger.steps.collect import submit as take_in

    found = list(_evidence_files(files))
    if not found:
        raise UsageError("there is no .parquet or .json file in there", hint="name the files themselves")
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            hand_in(asked, [(str(file), _read(file)) for file in found], output)
            return
    receipts: list[tuple[str, Receipt]] = []
    with writing(workspace) as ledger:
        try:
            for file in tracked(found, len(found), "sending"):
                receipts.append((str(file), take_in(ledger, _read(file))))
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
    from ledger.evidence.readable import readable_record
    from ledger.evidence.store import stored_batch

    with reading(workspace) as ledger:
        batch = (
            _batch_in(ledger, Path(what))
            if Path(what).is_file()
            else stored_batch(ledger.evidence, parse_hash(what, "UID"), ledger.domain)
        )
        fact = _header_fact(batch)
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
    from ledger.evidence.files import write_revocation
    from ledger.evidence.revocation import WHOLE_BATCH, Revocation, SignedRevocation
    from ledger.evidence.typed_data import REVOCATION
    from ledger.steps.collect import submit as take_in

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


def _evidence_files(given: Sequence[Path]) -> Iterator[Path]:
    """The files named, and those in the folders named, by name."""
    for path in given:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix in (".parquet", ".json"))
        else:
            yield path


def _read(file: Path) -> bytes:
    """A file's bytes; of one that is too large only as much as shows that it is."""
    from ledger.evidence.parquet_guard import MAX_FILE_BYTES

    with file.open("rb") as content:
        return content.read(MAX_FILE_BYTES + 1)


def _batch_in(ledger: "Ledger", file: Path) -> "SignedBatch":
    from ledger.evidence.files import read_batch

    return read_batch(_read(file), ledger.domain)


def _rewrite(ledger: "Ledger", file: Path, batch: "SignedBatch") -> None:
    """Put the signed batch in the draft's place, in the draft's form, in one step."""
    from ledger.evidence.files import write_batch, write_batch_json

    is_json = _read(file)[:1] == b"{"
    content = (write_batch_json if is_json else write_batch)(batch, ledger.domain)
    fresh = file.with_name(f".{file.name}.signed")
    fresh.unlink(missing_ok=True)
    write_new(fresh, content)
    fresh.replace(file)


def _signature(text: str) -> bytes:
    from ledger.model.units import from_hex

    try:
        return from_hex(text.strip().lower(), 65)
    except ValueError as error:
        raise UsageError(f"--signature: {error}", hint="65 bytes r ‖ s ‖ v of 0x-hex") from error


def _header_fact(batch: "SignedBatch") -> dict[str, Any]:
    from ledger.steps.transition import utc
    from ledger.tree.keccak import checksum_address

    header = batch.header
    return {
        "uid": to_hex(batch.uid),
        "schema": header.schema.title if header.schema else to_hex(header.schema_id),
        "epoch": header.epoch,
        "window": f"{utc(header.window_start)} to {utc(header.window_end)}",
        "records": header.record_count,
        "records_root": to_hex(header.records_root),
        "verifier": checksum_address(header.verifier),
        "sequence": header.sequence,
        "previous_batch": to_hex(header.previous_batch),
        "issued": utc(header.issued_at),
        "expires": utc(header.expires_at),
        "signature": to_hex(batch.signature) if batch.signature else None,
    }
