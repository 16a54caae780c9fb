"""`ath-ledger node`: registering nodes, looking them up, taking them out again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.evidence.options import DryRunUnlessBroadcast, OutOption, parse_hash, parse_time, print_receipts
from ledger.cli.shared.opening import WorkspaceOption, reading, standing_of, writing
from ledger.cli.shared.output import Format, Output, emit_fact, emit_rows, talk
from ledger.cli.shared.remote import UrlOption, elsewhere, emit_found, emit_pages, shown_standing
from ledger.cli.shared.signing import FromOption, KeystoreOption, PasswordOption, Signing, parse_account
from ledger.model.errors import UsageError
from ledger.model.units import EpochNumber, Hash32, NodeId, Timestamp

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient
    from ledger.evidence.items.registration import NodeRegistration
    from ledger.steps.ledger import Ledger

app = typer.Typer(name="node", help="Nodes: registering them, looking them up.", no_args_is_help=True)

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="the node's id, 0x and 64 hex digits")]
_VALID_SECONDS = 365 * 86_400
_OF_THE_ARRIVAL = frozenset({"arrival", "uid", "received"})


@app.command()
def register(
    serial: Annotated[str, typer.Option(help="the serial number: any text (its keccak256 is signed), or 0x-hex")],
    model: Annotated[str, typer.Option(help="hardware model, as the policy's tables name it")],
    zone: Annotated[str, typer.Option(help="grid zone, as the policy's tables name it")],
    country: Annotated[str, typer.Option(help="two capital letters, ISO 3166-1")],
    nameplate_w: Annotated[int, typer.Option(min=1, help="nameplate power in W: unmetered hours are charged at it")],
    gpu_id: Annotated[
        list[str] | None, typer.Option(help="keccak256 of a GPU's UUID, 0x-hex; once for each GPU")
    ] = None,
    gpu_uuid: Annotated[list[str] | None, typer.Option(help="a GPU's UUID; only its keccak256 is signed")] = None,
    valid_from: Annotated[str, typer.Option(help="Unix seconds or ISO 8601 (default: now)")] = "",
    valid_to: Annotated[str, typer.Option(help="Unix seconds or ISO 8601 (default: 365 days later)")] = "",
    sequence: Annotated[int | None, typer.Option(min=0, help="default: the first one not used for this node")] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    out: OutOption = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="also with a zone or model that no tables of this ledger know")
    ] = False,
    broadcast: DryRunUnlessBroadcast = False,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Register a node for the epochs that begin after its registration arrived.

    Without --broadcast or --out nothing is signed: the typed data a wallet would be asked to sign are printed.
    The operator is the account that signs.
    """
    from dataclasses import replace

    from ledger.evidence.items.registration import NodeRegistration
    from ledger.steps.preparing.registering import next_sequence, require_registrable

    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    gpus = [parse_hash(text, "--gpu-id") for text in gpu_id or []] + [_hashed(text) for text in gpu_uuid or []]
    if not gpus:
        raise UsageError("a node has at least one GPU", hint="name each with --gpu-id or --gpu-uuid")
    with writing(workspace) if broadcast else reading(workspace) as ledger:
        begin = parse_time(valid_from, "--valid-from") if valid_from else ledger.clock.now()
        end = parse_time(valid_to, "--valid-to") if valid_to else Timestamp(begin + _VALID_SECONDS)
        registration = NodeRegistration(
            operator=signing.address(),
            serial=parse_hash(serial, "--serial") if serial.startswith("0x") else _hashed(serial),
            model=model,
            gpu_ids=tuple(gpus),
            zone=zone,
            country=country,
            nameplate_w=nameplate_w,
            valid_from=begin,
            valid_to=end,
            sequence=sequence or 0,
        )
        if sequence is None:
            registration = replace(registration, sequence=next_sequence(ledger, registration))
        require_registrable(ledger, registration, known_words=not unchecked)
        _finish(ledger, registration, signing, out, output, broadcast=broadcast)


@app.command()
def retire(
    node: NodeArgument,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    sender: FromOption = None,
    out: OutOption = None,
    broadcast: DryRunUnlessBroadcast = False,
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Take a node out of every epoch that begins from now on; the running one still counts it.

    It is a registration of the next sequence with the model `retired`, which no tables know; registering the node
    again brings it back.
    """
    from ledger.steps.preparing.registering import retirement

    signing = Signing(keystore=keystore, password_file=password_file, sender=sender)
    with writing(workspace) if broadcast else reading(workspace) as ledger:
        registration = retirement(ledger, NodeId(parse_hash(node, "NODE")))
        _finish(ledger, registration, signing, out, output, broadcast=broadcast)


@app.command()
def show(
    node: NodeArgument, workspace: WorkspaceOption = None, url: UrlOption = None, output: Output = Format.TABLE
) -> None:
    """One node: its registration that counts last, all before it, what the last epochs paid for it."""
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            emit_found(asked.show_node(node), output)
            return
    from ledger.steps.answers.nodes import node_fact

    with reading(workspace) as ledger:
        emit_fact(node_fact(ledger, NodeId(parse_hash(node, "NODE"))), output, standing_of(ledger))


@app.command("list")
def list_nodes(
    operator: Annotated[str | None, typer.Option(help="only this operator's")] = None,
    epoch: Annotated[int | None, typer.Option(min=0, help="those a computed epoch counted, with their payout")] = None,
    workspace: WorkspaceOption = None,
    url: UrlOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Registered nodes, or those an epoch counted."""
    with elsewhere(url, workspace) as asked:
        if asked is not None:
            if epoch is None:
                _list_registered(asked, operator, output)
            else:
                emit_pages(asked.list_nodes(epoch=epoch, operator=operator), output)
            return
    from ledger.steps.answers.nodes import counted_nodes, registered_nodes

    owner = parse_account(operator, "--operator") if operator else None
    with reading(workspace) as ledger:
        rows = registered_nodes(ledger, owner) if epoch is None else counted_nodes(ledger, EpochNumber(epoch), owner)
        emit_rows(rows, output, standing_of(ledger))


def _list_registered(asked: "LedgerClient", operator: str | None, output: Format) -> None:
    """A server lists registrations as they arrived: of each node the one with the highest sequence is shown."""
    found = asked.list_registrations(operator=operator)
    latest: dict[str, dict[str, Any]] = {}
    for row in found:
        known = latest.get(row["node_id"])
        if known is None or row["sequence"] > known["sequence"]:
            latest[row["node_id"]] = {name: value for name, value in row.items() if name not in _OF_THE_ARRIVAL}
    emit_rows([latest[node] for node in sorted(latest)], output, shown_standing(found.standing))


def _finish(
    ledger: "Ledger",
    registration: "NodeRegistration",
    signing: Signing,
    out: Path | None,
    output: Format,
    *,
    broadcast: bool,
) -> None:
    """Show what would be signed; or sign and write the file; or sign and take it in."""
    from ledger.cli.evidence.options import print_message, write_new
    from ledger.evidence.items.typed_data import NODE_REGISTRATION
    from ledger.evidence.storage.item_files import write_registration
    from ledger.model.units import to_hex
    from ledger.steps.intake.collect import submit
    from ledger.steps.preparing.registering import signed_registration

    talk(f"node {to_hex(registration.node_id)}, sequence {registration.sequence}")
    if not broadcast and out is None:
        print_message(ledger.domain, NODE_REGISTRATION, registration)
        return
    content = write_registration(signed_registration(ledger, signing.key(), registration), ledger.domain)
    if out is not None:
        write_new(out, content)
        talk(f"wrote {out}. Next: ath-ledger batch submit {out}")
    if broadcast:
        print_receipts([(str(out or ""), submit(ledger, content))], output)


def _hashed(text: str) -> Hash32:
    from ledger.tree.keccak import keccak256

    return keccak256(text.encode("utf-8"))
