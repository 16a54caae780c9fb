"""One node of the chain: what it is asked, what it shows of itself, and for how long it is set aside when it fails."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger.chain.node.transport import Call, Transport, TransportError
from ledger.model.units import Hash32, from_hex

SEND: Final = "eth_sendRawTransaction"
ASIDE_SECONDS: Final = 1.0
"""How long an endpoint is set aside at first."""
ASIDE_AT_MOST: Final = 300.0
_READ_REPEATS: Final = 2
_IDENTITY: Final[tuple[Call, ...]] = (("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False]))
_MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError)


class TimeUpError(TransportError):
    """A look has lasted as long as it may: nobody's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A block that is known to be final: an endpoint that has another one in its place is on another branch."""

    number: int
    hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which chain a node serves."""

    chain_id: int
    genesis_hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a node shows at one moment."""

    identity: Identity
    head_number: int
    stands: bool
    """Whether it has the anchor; True where none was asked for."""


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """One address, asked and remembered."""

    number: int
    """Its place in the setting, from 1."""
    transport: Transport
    is_checked: bool = False
    """Whether it has shown its identity since it failed last."""
    failures: int = 0
    aside_until: float = float("-inf")

    def ask(self, call: Call, seconds: float) -> dict[str, Any]:
        """One JSON-RPC answer, as an object with a result or an error. Raises TransportError."""
        answer = self.transport.ask(call, seconds, repeats=0 if call[0] == SEND else _READ_REPEATS)
        if not isinstance(answer, dict) or not ("result" in answer or answer.get("error") is not None):
            raise TransportError("the answer is no JSON-RPC")
        return answer

    def ask_many(self, calls: Sequence[Call], seconds: float) -> list[dict[str, Any]] | dict[str, Any]:
        """The answers to one request with many calls; an object where the node refuses it whole. TransportError."""
        answers: Any = self.transport.ask_many(calls, seconds, repeats=_READ_REPEATS)
        is_list = isinstance(answers, list) and all(isinstance(each, dict) for each in answers)
        if not is_list and not isinstance(answers, dict):
            raise TransportError("the answer is no JSON-RPC")
        found: list[dict[str, Any]] | dict[str, Any] = answers
        return found

    def identity(self, seconds: float) -> Identity:
        """Which chain it serves. Raises TransportError."""
        return _identity([self.ask(call, seconds) for call in _IDENTITY])

    def sight(self, anchor: Anchor | None, seconds: float) -> Sight:
        """Identity, newest block and the anchor, in one request. Raises TransportError."""
        calls: list[Call] = [*_IDENTITY, ("eth_blockNumber", [])]
        if anchor is not None:
            calls.append(("eth_getBlockByNumber", [hex(anchor.number), False]))
        answers = self.ask_many(calls, seconds)
        if isinstance(answers, dict):
            raise TransportError("it does not answer batches")
        try:
            head = int(answers[2]["result"], 16)
            there = answers[3]["result"] if anchor is not None else None
            stands = anchor is None or (there is not None and from_hex(there["hash"], 32) == anchor.hash)
        except _MALFORMED as error:
            raise TransportError("it does not say what its newest block is") from error
        return Sight(identity=_identity(answers), head_number=head, stands=stands)

    def fail(self, error: Exception) -> None:
        """Set it aside, for longer each time, unless it has been well for long."""
        if isinstance(error, TimeUpError):
            return
        now = time.monotonic()
        self.failures = 1 if now > self.aside_until + ASIDE_AT_MOST else self.failures + 1
        self.is_checked = False
        self.aside_until = now + min(ASIDE_AT_MOST, ASIDE_SECONDS * 2 ** min(self.failures - 1, 20))

    def recover(self) -> None:
        """A whole look went well on it."""
        self.failures, self.aside_until = 0, float("-inf")


def _identity(answers: Sequence[dict[str, Any]]) -> Identity:
    try:
        genesis_hash = Hash32(from_hex(answers[1]["result"]["hash"], 32))
        return Identity(chain_id=int(answers[0]["result"], 16), genesis_hash=genesis_hash)
    except _MALFORMED as error:
        raise TransportError("it does not say which chain it serves") from error
