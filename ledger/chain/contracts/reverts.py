"""Why a contract said no, in its own words: every custom error of ours and of the libraries underneath.

web3 leaves custom errors as raw hex; here they become `Name(argument=value)` with a stable code and a hint.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from ledger.chain.contracts.artefacts import ALL_CONTRACTS, interface
from ledger.chain.contracts.interface import ContractInterface, Decoded
from ledger.chain.contracts.remedies import REMEDIES
from ledger.chain.errors import CallRevertedError, RpcError
from ledger.model.units import from_hex

_LIBRARY_ERRORS: Final[tuple[dict[str, Any], ...]] = tuple(
    {"type": "error", "name": name, "inputs": [{"name": argument, "type": kind} for argument, kind in inputs]}
    for name, inputs in (
        ("Error", [("message", "string")]),
        ("Panic", [("code", "uint256")]),
        # raised in assembly by Solady, so in no ABI
        ("TransferFailed", []),
        ("TransferFromFailed", []),
        ("ApproveFailed", []),
        ("Reentrancy", []),
        ("SafeERC20FailedOperation", [("token", "address")]),
        ("ERC20InsufficientBalance", [("sender", "address"), ("balance", "uint256"), ("needed", "uint256")]),
        ("ERC20InsufficientAllowance", [("spender", "address"), ("allowance", "uint256"), ("needed", "uint256")]),
        ("AccessManagedUnauthorized", [("caller", "address")]),
        ("AccessManagedRequiredDelay", [("caller", "address"), ("delay", "uint32")]),
    )
)
_PANICS: Final = {
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x32: "no such index",
}

HINTS: Final[dict[str, str]] = {
    "AccessManagedUnauthorized": "this account does not hold the role: ath-ledger chain roles",
    "AccessManagedRequiredDelay": "this role acts through the delay: ath-ledger gov propose, then gov execute",
    "AccessManagerNotReady": "the delay has not passed yet: ath-ledger gov status",
    "AccessManagerNotScheduled": "schedule it first: ath-ledger gov propose",
    "AccessManagerExpired": "the operation expired; schedule it again: ath-ledger gov propose",
    "AccessManagerUnauthorizedConsume": "only the target contract may use up this operation",
    "ERC20InsufficientBalance": "fund the treasury with the token",
    "ERC20InsufficientAllowance": "the treasury must approve the RewardsLedger for the token",
    "InsufficientBalance": "fund the treasury with the token",
    "InsufficientAllowance": "the treasury must approve the RewardsLedger for the token",
    "TransferFromFailed": "fund the treasury and approve the RewardsLedger for the token",
    "TransferFailed": "the contract holds too little of the token: ath-ledger audit reconcile",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revert:
    """A decoded refusal. `reason` is for people, `code` stays the same over versions."""

    name: str
    reason: str
    hint: str

    @property
    def code(self) -> str:
        """`revert.` and the error's name."""
        return f"revert.{self.name}"


def decode_revert(data: bytes) -> Revert:
    """The refusal in the revert bytes; unknown ones keep their hex."""
    if not data:
        return Revert(name="empty", reason="reverted without a reason", hint="is this the right contract and chain?")
    found = _decoded(data)
    if found is None:
        return Revert(name="unknown", reason=f"unknown error 0x{data.hex()}", hint="ath-ledger doctor")
    if found.name == "Error":
        return Revert(name="Error", reason=str(found.arguments["message"]), hint="read the reason; nothing was sent")
    if found.name == "Panic":
        number = int(found.arguments["code"])
        meaning = _PANICS.get(number, "internal error")
        return Revert(name="Panic", reason=f"Panic(0x{number:02x}: {meaning})", hint="this is a defect; report it")
    hint = (HINTS | REMEDIES).get(found.name, "read the reason; nothing was sent")
    return Revert(name=found.name, reason=str(found), hint=hint)


def revert_data(error: RpcError) -> bytes | None:
    """The revert bytes of a node's answer, or None when the error is no revert."""
    data: object = error.data
    if isinstance(data, dict):  # some nodes wrap it
        data = data.get("data")
    if isinstance(data, str) and data.startswith("0x"):
        return from_hex(data)
    return b"" if error.rpc_code == 3 or "revert" in error.message.lower() else None


def as_refusal(error: RpcError, what: str) -> CallRevertedError | RpcError:
    """A node's error as a contract's refusal when it is one; `what` names the call."""
    data = revert_data(error)
    if data is None:
        return error
    revert = decode_revert(data)
    return CallRevertedError(
        f"{what} is refused: {revert.reason}", reason=revert.reason, error_name=revert.name, hint=revert.hint
    )


def _decoded(data: bytes) -> Decoded | None:
    for contract in _interfaces():
        found = contract.error(data)
        if found is not None:
            return found
    return None


@cache
def _interfaces() -> tuple[ContractInterface, ...]:
    return (*(interface(name) for name in ALL_CONTRACTS), ContractInterface("libraries", _LIBRARY_ERRORS))
