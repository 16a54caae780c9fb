"""Who signs a command, and how a transaction is shown: options shared by everything that signs or sends.

The names and variables are those of `cast`: ETH_KEYSTORE, ETH_PASSWORD (a file), ETH_FROM. What sends is a
dry run until `--broadcast`; a private key is never an argument.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.shared.output import Format
from ledger.model.errors import RefusedError, UsageError
from ledger.model.units import Address

if TYPE_CHECKING:
    from ledger.chain.contracts.contract import Call
    from ledger.chain.node.connection import Connection
    from ledger.chain.sending.signer import KeySigner, Signer

KeystoreOption = Annotated[
    Path | None, typer.Option("--keystore", envvar="ETH_KEYSTORE", help="version 3 keystore of the account that signs")
]
PasswordOption = Annotated[
    Path | None,
    typer.Option("--password-file", envvar="ETH_PASSWORD", help="file whose first line is the keystore's password"),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", envvar="ETH_FROM", help="the sender; without --keystore the node signs for it"),
]
BroadcastOption = Annotated[bool, typer.Option("--broadcast", help="send it; without, only show what would be sent")]


class CallFormat(StrEnum):
    """What `-o` takes where a transaction is made."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    CALLDATA = "calldata"
    SAFE = "safe"

    @property
    def is_for_another_wallet(self) -> bool:
        """Whether the call itself is printed, for another wallet to sign and send."""
        return self in (CallFormat.CALLDATA, CallFormat.SAFE)

    @property
    def answer(self) -> Format:
        """How the rest of the answer is printed."""
        return Format.TABLE if self.is_for_another_wallet else Format(self.value)


CallOutput = Annotated[
    CallFormat,
    typer.Option(
        "-o", "--output", help="table, json, csv; calldata (target and data, for any wallet); safe (for its app)"
    ),
]


class NoSignerError(UsageError):
    """The command needs to know whose account it acts for."""

    code = "keys.no-signer"
    default_hint = "name an account with --keystore FILE --password-file FILE, or with --from ADDRESS"


class OtherSenderError(RefusedError):
    """`--from` and the keystore's key are two accounts."""

    code = "keys.other-sender"
    default_hint = "leave --from (ETH_FROM) out, or name the keystore of that account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """The account a command acts for, as its options name it. Nothing is unlocked until it is asked for."""

    keystore: Path | None = None
    password_file: Path | None = None
    sender: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether any account was named."""
        return self.keystore is not None or bool(self.sender)

    def key(self) -> "KeySigner":
        """The keystore, unlocked. NoSignerError without one, KeystoreError, OtherSenderError."""
        from ledger.chain.sending.signer import open_keystore
        from ledger.tree.keccak import checksum_address

        if self.keystore is None:
            raise NoSignerError("no keystore is named")
        signer = open_keystore(self.keystore, self._password())
        stated = self._stated()
        if stated is not None and stated != signer.address:
            raise OtherSenderError(
                f"--from is {checksum_address(stated)}, the keystore holds {checksum_address(signer.address)}"
            )
        return signer

    def address(self) -> Address:
        """The account's address; a keystore is unlocked for it, because only its key proves it."""
        if self.keystore is not None:
            return self.key().address
        stated = self._stated()
        if stated is None:
            raise NoSignerError("no account is named")
        return stated

    def signer(self, connection: "Connection") -> "Signer":
        """The account's signer: its keystore, or the node for an account the node manages."""
        from ledger.chain.sending.signer import NodeSigner

        return self.key() if self.keystore is not None else NodeSigner(connection, self.address())

    def _stated(self) -> Address | None:
        return parse_account(self.sender, "--from") if self.sender else None

    def _password(self) -> str:
        from ledger.chain.sending.signer import read_password

        if self.password_file is not None:
            return read_password(self.password_file)
        if not sys.stdin.isatty():
            raise NoSignerError(f"{self.keystore} needs a password", hint="name its file with --password-file")
        return str(typer.prompt(f"Password of {self.keystore}", hide_input=True, err=True))


def parse_account(text: str, where: str) -> Address:
    """An address a person wrote. UsageError names the option and, for a wrong checksum, the right one."""
    from ledger.tree.keccak import parse_address

    try:
        return parse_address(text)
    except ValueError as error:
        raise UsageError(f"{where}: {error}", hint=f"correct {where}") from error


def refuse_broadcast(output: CallFormat, *, broadcast: bool) -> None:
    """UsageError where a call is to be sent here and by another wallet at once."""
    if broadcast and output.is_for_another_wallet:
        raise UsageError(f"-o {output.value} is for another wallet to send", hint="leave --broadcast out")


def print_for_wallet(
    call: "Call",
    output: CallFormat,
    connection: "Connection",
    sender: Address,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Target and data on one line, as `cast send $(…)` and any wallet take them; or a file for the Safe app.

    `facts` go into the Safe file's description, where its owners read them before they sign.
    """
    from ledger.chain.sending.safe import safe_batch
    from ledger.model.units import to_hex
    from ledger.tree.keccak import checksum_address

    if output is CallFormat.CALLDATA:
        print(checksum_address(call.to), to_hex(call.calldata))
        return
    told = {"sends": call_text(call), **(facts or {})}
    batch = safe_batch(
        [call],
        chain_id=connection.chain_id,
        safe=sender,
        created_at=connection.head().timestamp,
        name=f"ATH Ledger: {call.contract}.{call.meaning.name}",
        description="; ".join(f"{name}: {value}" for name, value in told.items() if value is not None),
    )
    print(json.dumps(batch, ensure_ascii=False, indent=2))


def call_fact(call: "Call") -> dict[str, Any]:
    """A call for people: contract, function, arguments, and the bytes."""
    from ledger.model.units import to_hex
    from ledger.tree.keccak import checksum_address

    return {"sends": call_text(call), "to": checksum_address(call.to), "calldata": to_hex(call.calldata)}


def call_text(call: "Call") -> str:
    """A call on one line: a policy as its hash, an announcement without the bytes of what it announces."""
    from ledger.chain.contracts.interface import Decoded
    from ledger.evidence.items.typed_data import schema_of
    from ledger.model.policy import Policy
    from ledger.tree.commitments import policy_hash

    arguments = dict(call.meaning.arguments)
    arguments.pop("data", None)
    if "policy" in arguments:
        arguments["policy"] = policy_hash(Policy(**arguments["policy"]))
    if "schema_id" in arguments:
        schema = schema_of(arguments["schema_id"])
        arguments = ({"schema": schema.title} if schema else {}) | arguments
    return f"{call.contract}.{Decoded(name=call.meaning.name, arguments=arguments)}"
