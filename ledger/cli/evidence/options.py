"""What everything that signs or sends evidence shares: options, times, hashes, receipts."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.output import Format, emit_rows, talk
from ledger.model.durable import create_whole
from ledger.model.errors import EnvironmentFailure, RefusedError, UsageError
from ledger.model.units import Hash32, Timestamp, from_hex, to_hex

if TYPE_CHECKING:
    from ledger.evidence.items.typed_data import Domain, TypedStruct
    from ledger.steps.intake.collect import Receipt

DryRunUnlessBroadcast = Annotated[
    bool, typer.Option("--broadcast", help="sign it and send it in; without, only show what would be signed")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="sign it and write it to this new file")]


class SubmissionRefusedError(RefusedError):
    """At least one of the files that were sent in was refused; the receipts say which and why."""

    code = "submission.refused"
    default_hint = "do what the receipt of each refused file says, then send it again; sending one twice is harmless"


class FileTakenError(EnvironmentFailure):
    """A file that should be written is there already."""

    code = "file.exists"
    retryable = False
    default_hint = "name another file"


def parse_hash(text: str, where: str) -> Hash32:
    """32 bytes of 0x-hex a person wrote. UsageError names the option."""
    try:
        return Hash32(from_hex(text.strip().lower(), 32))
    except ValueError as error:
        raise UsageError(f"{where}: {error}", hint=f"{where} is 0x and 64 hex digits") from error


def parse_time(text: str, where: str) -> Timestamp:
    """Unix seconds, or ISO 8601 (UTC unless it names an offset). UsageError names the option."""
    if text.isdecimal():
        return Timestamp(int(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{where}: {error}", hint="for example 1686823200 or 2023-06-15T10:00:00Z") from error
    return Timestamp(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()))


def print_message(domain: "Domain", struct: "TypedStruct", item: object) -> None:
    """The typed data on stdout, as eth_signTypedData_v4 and `cast wallet sign --data` take them."""
    from ledger.evidence.items.typed_message import typed_message

    print(json.dumps(typed_message(domain, struct, item), indent=2, ensure_ascii=False))
    talk("dry run: nothing was signed or sent. Next: the same with --broadcast, or with --out FILE")


def write_new(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, never over another one. FileTakenError, or OSError of the disk."""
    try:
        create_whole(file, content)
    except FileExistsError as error:
        raise FileTakenError(f"{file} is there already") from error


def receipt_row(file: str, receipt: "Receipt") -> dict[str, Any]:
    """What became of one file: stored or refused, and what to do about it."""
    from ledger.model.refusals import REFUSALS

    refusal = REFUSALS.get(receipt.code)
    return {
        "file": file,
        "uid": None if receipt.uid is None else to_hex(receipt.uid),
        "kind": receipt.kind,
        "epoch": receipt.epoch,
        "result": ("admitted" if receipt.is_new else "known") if receipt.is_admitted else "refused",
        "code": receipt.code,
        "detail": receipt.detail,
        "remedy": refusal.remedy if refusal else "",
    }


def print_receipts(receipts: Sequence[tuple[str, "Receipt"]], output: Format) -> None:
    """A line for each file. Raises SubmissionRefusedError when one was refused."""
    emit_rows([receipt_row(file, receipt) for file, receipt in receipts], output)
    refused = [receipt for _, receipt in receipts if not receipt.is_admitted]
    if refused:
        codes = ", ".join(sorted({receipt.code for receipt in refused}))
        raise SubmissionRefusedError(f"{len(refused)} of {len(receipts)} refused: {codes}")
