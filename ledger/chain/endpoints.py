"""The nodes of one chain: several addresses, asked one at a time, none believed before it was looked at.

Each endpoint shows chain id and genesis before it is used, and again after it failed. One that fails, lags or lies is
set aside for a while that doubles with each time; when all are set aside they are asked all the same, for there is
nobody else. What belongs together is read in one look, on one endpoint. One endpoint alone is asked without any of
this, as if there were no such thing.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ledger.chain.errors import (
    AnswerError,
    BlockMissingError,
    ChainMovedError,
    ChainUnreachableError,
    LogsHiddenError,
    OtherGenesisError,
    WrongChainError,
)
from ledger.chain.transport import Call, Transport, TransportError
from ledger.model.errors import UsageError
from ledger.model.units import Hash32, from_hex, to_hex

PROBE_SECONDS: Final = 5.0
"""For the first question to one of several endpoints: whoever is slower is passed over."""
ASIDE_SECONDS: Final = 1.0
"""How long an endpoint is set aside at first."""
ASIDE_AT_MOST: Final = 300.0
LAG_BLOCKS: Final = 3
"""So far behind the others an endpoint may be."""
_READ_REPEATS: Final = 2
_SEND: Final = "eth_sendRawTransaction"
_FAILURES: Final = (ChainUnreachableError, BlockMissingError, AnswerError, LogsHiddenError, ChainMovedError)
"""What makes another endpoint worth asking."""

_IDENTITY: Final[tuple[Call, ...]] = (("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False]))

Result = TypeVar("Result")


class _TimeUpError(TransportError):
    """A look has lasted as long as it may: nobody's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A block that is known to be final: an endpoint that has another one in its place is on another branch."""

    number: int
    hash: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStanding:
    """What one endpoint is worth now, for a person: nothing of it is secret."""

    number: int
    """Its place in the setting, from 1."""
    place: str
    """Host and port."""
    is_well: bool
    why: str
    """Why it is not; empty when it is."""
    head_number: int | None
    """The newest block it has, where it could be asked."""


@dataclass(slots=True, kw_only=True)
class _Endpoint:
    number: int
    transport: Transport
    is_checked: bool = False
    failures: int = 0
    aside_until: float = float("-inf")
    why: str = ""

    def fail(self, error: Exception) -> None:
        """Set it aside, for longer each time, unless it has been well for long."""
        if isinstance(error, _TimeUpError):
            return
        now = time.monotonic()
        self.failures = 1 if now > self.aside_until + ASIDE_AT_MOST else self.failures + 1
        self.why = _reason(error)
        self.is_checked = False
        self.aside_until = now + min(ASIDE_AT_MOST, ASIDE_SECONDS * 2 ** min(self.failures - 1, 20))

    def recover(self) -> None:
        """A whole look went well on it."""
        self.failures, self.why, self.aside_until = 0, "", float("-inf")


class _Look(threading.local):
    """What a thread has begun: on which endpoint, and until when."""

    endpoint: _Endpoint | None = None
    deadline: float | None = None


@dataclass(slots=True)
class Endpoints:
    """All endpoints of one chain, in the order of the setting: the first that is well is asked."""

    urls: Sequence[str]
    chain_id: int | None = None
    genesis_hash: Hash32 | None = None
    call_seconds: float = 30.0
    transports: Sequence[Transport] = ()
    """Whoever is asked in place of the addresses, for tests without any."""
    _all: list[_Endpoint] = field(init=False)
    _look: _Look = field(default_factory=_Look, init=False)

    def __post_init__(self) -> None:
        transports = self.transports or [Transport(url) for url in self.urls]
        self._all = [_Endpoint(number=at, transport=each) for at, each in enumerate(transports, start=1)]

    @property
    def is_one(self) -> bool:
        """Whether there is nobody else to ask."""
        return len(self._all) == 1

    def identify(self) -> None:
        """Let the first endpoint that answers say which chain this is, unless it was told. Raises like `ask`."""
        if self.is_one:
            self.recheck()
        else:
            self._on_any("eth_chainId", lambda endpoint: endpoint.is_checked)

    def ask(self, method: str, params: list[Any]) -> Any:
        """A JSON-RPC answer as it came, from the look's endpoint or the first that answers.

        Raises ChainUnreachableError, WrongChainError, OtherGenesisError.
        """
        return self._on_any(method, lambda endpoint: self._ask(endpoint, (method, params)))

    def ask_many(self, calls: Sequence[Call]) -> list[Any] | dict[str, Any]:
        """The answers to one request with many calls, in their order; an object where the node refuses it whole."""
        return self._on_any("batch", lambda endpoint: self._ask_many(endpoint, calls))

    def send(self, raw: str) -> Any:
        """The same signed bytes to every endpoint: one that drops them, or is cut off, loses nothing.

        Any acceptance counts; otherwise the answer of the endpoint that is read from, for another one's refusal may
        come of its lagging. Raises ChainUnreachableError when nobody accepted and that one did not answer.
        """
        first: Any = None
        refusal: Exception | None = None
        try:
            first = self.ask(_SEND, [raw])
        except ChainUnreachableError as error:
            refusal = error
        for endpoint in self._others():
            try:
                self._require_checked(endpoint)
                answer = self._ask(endpoint, (_SEND, [raw]), PROBE_SECONDS)
            except (TransportError, WrongChainError, OtherGenesisError) as error:
                endpoint.fail(error)
                continue
            if "result" in answer and (first is None or "result" not in first):
                first = answer
        if first is None:
            raise refusal or ChainUnreachableError(f"{_SEND}: nobody was asked")
        return first

    def anyone_else_says(self, calls: Sequence[Call], judge: Callable[[list[Any]], bool]) -> bool:
        """Whether any endpoint but the one that is read from answers so; those that do not answer say nothing."""
        for endpoint in self._others():
            try:
                self._require_checked(endpoint)
                answers = self._ask_many(endpoint, calls, PROBE_SECONDS)
            except (TransportError, WrongChainError, OtherGenesisError) as error:
                endpoint.fail(error)
                continue
            if (
                isinstance(answers, list)
                and len(answers) == len(calls)
                and judge([each.get("result") for each in answers])
            ):
                return True
        return False

    def in_one_look(self, work: Callable[[], Result], anchor: Anchor | None = None, seconds: float = 300.0) -> Result:
        """Run `work` with all its reads on one endpoint and within so many seconds; it must be safe to repeat.

        When that endpoint fails, or takes its word back, another one is looked at and the work begins anew, once per
        endpoint. Within another look this is that look.
        """
        if self._look.deadline is not None:
            return work()
        self._look.deadline = time.monotonic() + seconds
        try:
            if self.is_one:
                return work()
            return self._on_each_in_turn(work, anchor)
        finally:
            self._look.endpoint = self._look.deadline = None

    def standings(self, seconds: float = PROBE_SECONDS) -> list[EndpointStanding]:
        """Every endpoint, asked now: chain, genesis and newest block. Nothing is raised."""
        found = []
        for endpoint in self._all:
            head, why = None, ""
            try:
                head = self._head(endpoint, None, seconds)[0]
            except (TransportError, ChainUnreachableError, WrongChainError, OtherGenesisError) as error:
                why = _reason(error)
            found.append((endpoint, head, why))
        best = max((head for _, head, _ in found if head is not None), default=0)
        return [
            EndpointStanding(
                number=endpoint.number,
                place=endpoint.transport.place,
                is_well=not why and head is not None and best - head <= LAG_BLOCKS,
                why=why or ("" if head is None or best - head <= LAG_BLOCKS else f"{best - head} blocks behind"),
                head_number=head,
            )
            for endpoint, head, why in found
        ]

    def _on_each_in_turn(self, work: Callable[[], Result], anchor: Anchor | None) -> Result:
        met: list[tuple[_Endpoint, Exception]] = []
        for _ in self._all:
            endpoint = self._chosen(anchor, met)
            if endpoint is None:
                break
            self._look.endpoint = endpoint
            try:
                result = work()
            except _FAILURES as error:
                endpoint.fail(error)
                met.append((endpoint, error))
                if time.monotonic() >= (self._look.deadline or 0):
                    break
            else:
                endpoint.recover()
                return result
        raise self._nobody("", met)

    def _chosen(self, anchor: Anchor | None, met: list[tuple[_Endpoint, Exception]]) -> _Endpoint | None:
        """The first endpoint that answers, keeps up with the others and stands on the anchor.

        When none stands on the anchor, the chain itself has left it, and the follower is to learn that.
        """
        heads: list[tuple[_Endpoint, int, bool]] = []
        for endpoint in self._in_order():
            if any(endpoint is tried for tried, _ in met):
                continue
            try:
                heads.append((endpoint, *self._head(endpoint, anchor, PROBE_SECONDS)))
            except (TransportError, ChainUnreachableError, WrongChainError, OtherGenesisError) as error:
                endpoint.fail(error)
                met.append((endpoint, error))
        if not heads:
            return None
        standing = [(endpoint, head) for endpoint, head, stands in heads if stands]
        for endpoint, _, stands in heads:
            if standing and not stands:
                number = anchor.number if anchor else 0
                endpoint.fail(TransportError(f"its block {number} is not the one that is final"))
        usable = standing or [(endpoint, head) for endpoint, head, _ in heads]
        best = max(head for _, head in usable)
        for endpoint, head in usable:
            if best - head > LAG_BLOCKS:
                endpoint.fail(TransportError(f"{best - head} blocks behind"))
        return next(endpoint for endpoint, head in usable if best - head <= LAG_BLOCKS)

    def _head(self, endpoint: _Endpoint, anchor: Anchor | None, seconds: float) -> tuple[int, bool]:
        """Its newest block, after its identity was checked, and whether it stands on the anchor."""
        calls: list[Call] = [*_IDENTITY, ("eth_blockNumber", [])]
        if anchor is not None:
            calls.append(("eth_getBlockByNumber", [hex(anchor.number), False]))
        answers = self._ask_many(endpoint, calls, seconds)
        if isinstance(answers, dict):
            raise TransportError("it does not answer batches")
        self._identified(endpoint, answers)
        try:
            head = int(answers[2]["result"], 16)
            there = answers[3]["result"] if anchor is not None else None
            stands = anchor is None or (there is not None and from_hex(there["hash"], 32) == anchor.hash)
        except (LookupError, TypeError, ValueError) as error:
            raise TransportError("it does not say what its newest block is") from error
        return head, stands

    def _on_any(self, what: str, ask: Callable[[_Endpoint], Result]) -> Result:
        """On the look's endpoint, or the first that answers. ChainUnreachableError names every failure."""
        met: list[tuple[_Endpoint, Exception]] = []
        begun = self._look.endpoint
        for endpoint in [begun] if begun is not None else self._in_order():
            try:
                if not self.is_one:
                    self._require_checked(endpoint)
                return ask(endpoint)
            except (TransportError, WrongChainError, OtherGenesisError) as error:
                if begun is None:  # else the look's own end sets it aside, once
                    endpoint.fail(error)
                met.append((endpoint, error))
        raise self._nobody(what, met)

    def _ask(self, endpoint: _Endpoint, call: Call, seconds: float | None = None) -> dict[str, Any]:
        repeats = 0 if call[0] == _SEND else _READ_REPEATS
        answer = endpoint.transport.ask(call, self._seconds(seconds), repeats=repeats)
        if not isinstance(answer, dict) or not ("result" in answer or answer.get("error") is not None):
            raise TransportError("the answer is no JSON-RPC")
        return answer

    def _ask_many(
        self, endpoint: _Endpoint, calls: Sequence[Call], seconds: float | None = None
    ) -> list[dict[str, Any]] | dict[str, Any]:
        answers = endpoint.transport.ask_many(calls, self._seconds(seconds), repeats=_READ_REPEATS)
        is_list = isinstance(answers, list) and all(isinstance(each, dict) for each in answers)
        if not is_list and not isinstance(answers, dict):
            raise TransportError("the answer is no JSON-RPC")
        found: list[dict[str, Any]] | dict[str, Any] = answers
        return found

    def _seconds(self, wanted: float | None) -> float:
        """How long a call may take, within the look's own time."""
        wanted = self.call_seconds if wanted is None else wanted
        if self._look.deadline is None:
            return wanted
        left = self._look.deadline - time.monotonic()
        if left <= 0:
            raise _TimeUpError("the time for all questions together is used up")
        return min(wanted, left)

    def _require_checked(self, endpoint: _Endpoint) -> None:
        if not endpoint.is_checked:
            self._check(endpoint, PROBE_SECONDS)

    def _check(self, endpoint: _Endpoint, seconds: float) -> None:
        """Raise unless it serves the chain; the first one to answer defines it where nobody has."""
        self._identified(endpoint, [self._ask(endpoint, call, seconds) for call in _IDENTITY])

    def _identified(self, endpoint: _Endpoint, answers: Sequence[Any]) -> None:
        try:
            served_id = int(answers[0]["result"], 16)
            served_genesis = Hash32(from_hex(answers[1]["result"]["hash"], 32))
        except (LookupError, TypeError, ValueError) as error:
            raise TransportError("it does not say which chain it serves") from error
        require_identity(served_id, served_genesis, self.chain_id, self.genesis_hash)
        self.chain_id, self.genesis_hash = served_id, served_genesis
        endpoint.is_checked = True

    def recheck(self) -> None:
        """Look at the chain's identity anew, on the look's endpoint or the first that answers. Raises like `ask`."""
        if self._look.endpoint is None or self.is_one:
            self._on_any("eth_chainId", lambda endpoint: self._check(endpoint, self.call_seconds))

    def _in_order(self) -> list[_Endpoint]:
        """Those that are not set aside, in the setting's order; behind them the others, the soonest first."""
        now = time.monotonic()
        ready = [each for each in self._all if each.aside_until <= now]
        return ready or sorted(self._all, key=lambda each: each.aside_until)

    def _others(self) -> list[_Endpoint]:
        """Who else is to hear of a transaction."""
        if self.is_one:
            return []
        ready = self._in_order()
        begun = self._look.endpoint or ready[0]
        return [each for each in ready if each is not begun]

    def _nobody(self, what: str, met: Sequence[tuple[_Endpoint, Exception]]) -> Exception:
        """What to raise when nobody answered as they should."""
        told = f"{what}: " if what else ""
        if self.is_one:
            error = met[0][1]
            is_silence = isinstance(error, TransportError)
            return ChainUnreachableError(f"{told}the node does not answer: {error}") if is_silence else error
        kinds = {type(error) for _, error in met}
        if len(met) == len(self._all) and len(kinds) == 1 and not kinds & {TransportError, ChainUnreachableError}:
            return met[0][1]  # all of them say the same: it is so
        each = "; ".join(f"{one.number} ({one.transport.place}): {_reason(error)}" for one, error in met)
        return ChainUnreachableError(f"{told}{len(met)} of {len(self._all)} endpoints failed: {each}")


def endpoint_urls(setting: str) -> tuple[str, ...]:
    """The addresses of the setting `rpc_url`: one, or several with commas between. UsageError for none."""
    urls = tuple(url.strip() for url in setting.split(",") if url.strip())
    if not urls:
        raise UsageError("no endpoint is named", hint="set rpc_url in settings.toml, or ETH_RPC_URL")
    if len(set(urls)) < len(urls):
        raise UsageError("the same endpoint is named twice", hint="correct rpc_url in settings.toml")
    return urls


def require_identity(served_id: int, served_genesis: Hash32, chain_id: int | None, genesis_hash: Hash32 | None) -> None:
    """Raise WrongChainError or OtherGenesisError unless the chain is the expected one."""
    if chain_id is not None and served_id != chain_id:
        raise WrongChainError(f"the node serves chain {served_id}, expected chain {chain_id}")
    if genesis_hash is not None and served_genesis != genesis_hash:
        raise OtherGenesisError(
            f"the node's chain {served_id} starts with block {to_hex(served_genesis)}, expected {to_hex(genesis_hash)}"
        )


def _reason(error: Exception) -> str:
    return str(getattr(error, "what", error))
