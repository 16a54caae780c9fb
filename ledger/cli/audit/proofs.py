"""`ath-ledger audit prove-entry | prove-record | prove-extension | check-proof`: proofs of single things, as files."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.shared.opening import WorkspaceOption, reading
from ledger.cli.shared.output import Format, OutOption, Output, emit_fact, talk
from ledger.model.errors import UsageError
from ledger.model.units import EpochNumber, Hash32, from_hex


def add_to(app: typer.Typer) -> None:
    """Put the four commands into `audit`."""
    app.command("prove-entry")(prove_entry)
    app.command("prove-record")(prove_record)
    app.command("prove-extension")(prove_extension)
    app.command("check-proof")(check_proof)


def prove_entry(
    seq: Annotated[int, typer.Option("--seq", min=1, help="the entry, by its position over both chains")],
    out: OutOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Prove that an entry stands in the books, up to the ledger head in a header on chain."""
    from ledger.steps.proving import making

    with reading(workspace) as ledger:
        _hand_out(making.prove_entry(ledger, seq), out)


def prove_record(
    batch: Annotated[str, typer.Option("--batch", help="the batch's uid, 0x-hex")],
    record: Annotated[int, typer.Option("--record", min=0, help="the record's place in key order, from 0")],
    out: OutOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Prove that one signed record was in its epoch's evidence: record, batch, evidence root, manifest, header."""
    from ledger.steps.proving import making

    with reading(workspace) as ledger:
        _hand_out(making.prove_record(ledger, _hash(batch, "--batch"), record), out)


def prove_extension(
    first: Annotated[int, typer.Option("--from", min=0, help="the earlier epoch")],
    last: Annotated[int, typer.Option("--to", min=1, help="the later epoch")],
    out: OutOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Prove that the books at a later epoch only continue those at an earlier one."""
    from ledger.steps.proving import making

    with reading(workspace) as ledger:
        _hand_out(making.prove_extension(ledger, EpochNumber(first), EpochNumber(last)), out)


def check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a proof; needs nothing else")],
    header: Annotated[
        str | None, typer.Option("--header", help="the header hash that the chain has for the epoch it leads to")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Check a proof offline, with no workspace and no database; exit code 4 when it does not hold."""
    from ledger.audit.proving.checking import check_proof as check

    if not file.is_file():
        raise UsageError(f"{file} is no file", hint="ath-ledger audit prove-entry --seq N --out FILE makes one")
    expected = None if header is None else _hash(header, "--header")
    proven = check(file.read_bytes(), expected)
    fact = {"proven": proven.what, **proven.facts, "epoch": proven.epoch, "header_hash": proven.header_hash}
    emit_fact(fact, output)
    if proven.header_hash is None:
        talk("no header commits to the chain log; its transaction is on chain itself")
    elif expected is None:
        talk("holds if the chain has this header hash for the epoch (event EpochActivated). Next: --header HASH")
    else:
        talk("holds")


def _hand_out(content: bytes, out: Path | None) -> None:
    if out is None:
        print(content.decode("utf-8"), end="")
        return
    out.write_bytes(content)
    talk(f"wrote {out}. Next: ath-ledger audit check-proof {out}")


def _hash(text: str, option: str) -> Hash32:
    try:
        return Hash32(from_hex(text.lower(), 32))
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint="32 bytes as 0x-hex") from error
