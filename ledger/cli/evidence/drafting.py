"""`ath-ledger batch make` and `sign`: records become a draft, a draft becomes a signed batch."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.evidence.batch_files import batch_in, header_fact, read_bytes
from ledger.cli.evidence.options import (
    parse_hash,
    parse_time,
    print_message,
    write_new,
)
from ledger.cli.shared.opening import WorkspaceOption, reading
from ledger.cli.shared.output import Format, Output, emit_fact, emit_rows, talk
from ledger.cli.shared.signing import FromOption, KeystoreOption, PasswordOption, Signing, parse_account
from ledger.model.errors import UsageError
from ledger.model.units import EpochNumber, Timestamp, to_hex

if TYPE_CHECKING:
    from ledger.evidence.items.batch import SignedBatch
    from ledger.steps.ledger import Ledger

_EXPIRES_AFTER_CUT_OFF = 86_400


def add_to(app: typer.Typer) -> None:
    """Put the commands into `batch`."""
    app.command("make")(make)
    app.command("sign")(sign)


class SchemaName(StrEnum):
    """The four kinds of records."""

    UPTIME = "uptime"
    ENERGY = "energy"
    RENEWABLE = "renewable"
    GRID = "grid"


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
    from ledger.evidence.items.records import Window
    from ledger.evidence.items.typed_data import Schema
    from ledger.evidence.storage.batch_files import write_batch, write_batch_json
    from ledger.evidence.storage.record_input import read_records
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
            read_records(read_bytes(records), kind),
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
        emit_fact({"file": str(out), **header_fact(draft)}, output)


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
    from ledger.evidence.items.typed_data import ATTESTATION_BATCH
    from ledger.steps.preparing.drafting import require_signable, sign_batch, signed_batch

    with reading(workspace) as ledger:
        drafts = [(file, batch_in(ledger, file)) for file in files]
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


def _rewrite(ledger: "Ledger", file: Path, batch: "SignedBatch") -> None:
    """Put the signed batch in the draft's place, in the draft's form, in one step."""
    from ledger.evidence.storage.batch_files import write_batch, write_batch_json

    is_json = read_bytes(file)[:1] == b"{"
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
