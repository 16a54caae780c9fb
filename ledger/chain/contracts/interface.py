"""A contract's ABI as calls and answers: bytes to typed values and back, names in the ledger's spelling.

Needs no connection and no web3, so calldata, dry runs and reports are cheap. Addresses and hashes are bytes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.model.errors import MismatchError
from ledger.model.units import Address, Hash32, from_hex
from ledger.tree.keccak import checksum_address, keccak256

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SELECTOR_BYTES = 4


class AbiMismatchError(MismatchError):
    """Bytes or values do not fit the contract's interface."""

    code = "contract.abi-mismatch"
    default_hint = "the deployment and this version do not belong together: ath-ledger chain roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A named call, event or error with its arguments in order, names in snake case."""

    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        """`Name(argument=value, …)` with hex for bytes and checksummed addresses."""
        return f"{self.name}({', '.join(f'{key}={readable(value)}' for key, value in self.arguments.items())})"


class ContractInterface:
    """The functions, events and errors of one contract."""

    def __init__(self, name: str, abi: Sequence[Mapping[str, Any]]) -> None:
        self.name = name
        self._functions = {entry["name"]: entry for entry in abi if entry["type"] == "function"}
        self._selectors = {selector(entry): entry for entry in self._functions.values()}
        self._events = {topic(entry): entry for entry in abi if entry["type"] == "event"}
        self._errors = {selector(entry): entry for entry in abi if entry["type"] == "error"}
        self._constructor: Mapping[str, Any] = next(
            (entry for entry in abi if entry["type"] == "constructor"), {"inputs": []}
        )

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of all functions."""
        return tuple(self._functions)

    @property
    def events(self) -> Mapping[str, Hash32]:
        """First topic of each event, by its name."""
        return {entry["name"]: key for key, entry in self._events.items()}

    def selector(self, function: str) -> bytes:
        """The four bytes that name a function in calldata."""
        return selector(self._function(function))

    def method(self, function: str) -> Mapping[str, Any]:
        """The function as the ABI declares it, for tools that take an ABI."""
        return self._function(function)

    def encode(self, function: str, *values: Any) -> bytes:
        """Calldata. Raises AbiMismatchError when a value does not fit."""
        entry = self._function(function)
        return selector(entry) + self._encoded(function, entry["inputs"], values)

    def encode_constructor(self, *values: Any) -> bytes:
        """The constructor's arguments, as they follow the bytecode."""
        return self._encoded("constructor", self._constructor["inputs"], values)

    def returned(self, function: str, answer: bytes) -> tuple[Any, ...]:
        """The values a call returned, in order."""
        outputs = self._function(function)["outputs"]
        return tuple(_decode(f"{self.name}.{function}", outputs, answer))

    def describe(self, calldata: bytes) -> Decoded | None:
        """The call these bytes make, or None when the contract has no such function."""
        entry = self._selectors.get(calldata[:_SELECTOR_BYTES])
        return self._named(entry, calldata[_SELECTOR_BYTES:]) if entry else None

    def error(self, data: bytes) -> Decoded | None:
        """The custom error these revert bytes carry, or None when the contract declares no such error."""
        entry = self._errors.get(data[:_SELECTOR_BYTES])
        return self._named(entry, data[_SELECTOR_BYTES:]) if entry else None

    def event(self, topics: Sequence[bytes], data: bytes) -> Decoded | None:
        """The event of a log, or None when the contract declares no such event."""
        entry = self._events.get(Hash32(topics[0])) if topics else None
        if entry is None:
            return None
        where = f"{self.name}.{entry['name']}"
        indexed = [part for part in entry["inputs"] if part["indexed"]]
        if len(indexed) != len(topics) - 1:
            raise AbiMismatchError(f"{where} has {len(indexed)} indexed arguments, the log {len(topics) - 1}")
        words = {part["name"]: _decode(where, [part], word)[0] for part, word in zip(indexed, topics[1:], strict=True)}
        plain = [part for part in entry["inputs"] if not part["indexed"]]
        words |= {part["name"]: value for part, value in zip(plain, _decode(where, plain, data), strict=True)}
        ordered = {snake(part["name"]): words[part["name"]] for part in entry["inputs"]}
        return Decoded(name=entry["name"], arguments=ordered)

    def _function(self, name: str) -> Mapping[str, Any]:
        entry = self._functions.get(name)
        if entry is None:
            raise AbiMismatchError(f"{self.name} has no function {name}")
        return entry

    def _encoded(self, where: str, inputs: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> bytes:
        if len(inputs) != len(values):
            raise AbiMismatchError(f"{self.name}.{where} takes {len(inputs)} arguments, got {len(values)}")
        from eth_abi.abi import encode  # with its exceptions 0.15 s, which commands that make no call need not wait
        from eth_abi.exceptions import EncodingError

        try:
            return encode([type_name(part) for part in inputs], values)
        except (EncodingError, TypeError) as error:
            raise AbiMismatchError(f"{self.name}.{where}: {error}") from error

    def _named(self, entry: Mapping[str, Any], data: bytes) -> Decoded:
        values = _decode(f"{self.name}.{entry['name']}", entry["inputs"], data)
        names = [snake(part["name"]) or f"argument{at}" for at, part in enumerate(entry["inputs"])]
        return Decoded(name=entry["name"], arguments=dict(zip(names, values, strict=True)))


def type_name(part: Mapping[str, Any]) -> str:
    """The canonical type of an ABI argument, tuples written out: `(uint64,bytes32)[]`."""
    declared: str = part["type"]
    if not declared.startswith("tuple"):
        return declared
    return f"({','.join(type_name(inner) for inner in part['components'])}){declared[5:]}"


def signature(entry: Mapping[str, Any]) -> str:
    """`name(type,type)`, the text whose hash names a function, event or error."""
    return f"{entry['name']}({','.join(type_name(part) for part in entry['inputs'])})"


def selector(entry: Mapping[str, Any]) -> bytes:
    """First four bytes of the signature's hash."""
    return keccak256(signature(entry).encode("ascii"))[:_SELECTOR_BYTES]


def topic(entry: Mapping[str, Any]) -> Hash32:
    """The signature's hash."""
    return keccak256(signature(entry).encode("ascii"))


def snake(name: str) -> str:
    """`claimRoot` → `claim_root`; a trailing underscore that avoids a Solidity keyword is dropped."""
    return _CAMEL.sub("_", name.strip("_")).lower()


def readable(value: Any) -> str:
    """A decoded value for people."""
    if isinstance(value, bytes):
        return checksum_address_or_hex(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {readable(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(readable(inner) for inner in value) + "]"
    return str(value)


def checksum_address_or_hex(value: bytes) -> str:
    """EIP-55 for 20 bytes, plain hex for everything else."""
    return checksum_address(Address(value)) if len(value) == 20 else "0x" + value.hex()


def _decode(where: str, parts: Sequence[Mapping[str, Any]], data: bytes) -> list[Any]:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        values = decode([type_name(part) for part in parts], data)
    except (DecodingError, OverflowError) as error:
        raise AbiMismatchError(f"{where}: {error}") from error
    return [_typed(part, part["type"], value) for part, value in zip(parts, values, strict=True)]


def _typed(part: Mapping[str, Any], declared: str, value: Any) -> Any:
    """Addresses as 20 bytes, structs as mappings by snake-case name, arrays as tuples."""
    if declared.endswith("]"):
        inner = declared.rpartition("[")[0]
        return tuple(_typed(part, inner, element) for element in value)
    if declared == "tuple":
        return {
            snake(component["name"]): _typed(component, component["type"], element)
            for component, element in zip(part["components"], value, strict=True)
        }
    return from_hex(value, 20) if declared == "address" else value
