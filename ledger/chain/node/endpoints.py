"""The nodes of one chain: several addresses, asked one at a time, none believed before it was looked at.

Each endpoint shows chain id and genesis before it is used, and again after it failed. One that fails, lags or lies is
set aside for a while that doubles with each time; when all are set aside they are asked all the same, for there is
nobody else. What belongs together is read in one look, on one endpoint. One endpoint alone is asked without any of
this, as if there were no such thing.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
from ledger.chain.node.endpoint import SEND, Anchor, Endpoint, Identity, Sight, TimeUpError
from ledger.chain.node.transport import Call, Transport, TransportError
from ledger.model.errors import UsageError
from ledger.model.units import Hash32, to_hex

PROBE_SECONDS: Final = 5.0
"""For the first question to one of several endpoints: whoever is slower is passed over."""
LAG_BLOCKS: Final = 3
"""So far behind the others an endpoint may be."""
_FAILURES: Final = (ChainUnreachableError, BlockMissingError, AnswerError, LogsHiddenError, ChainMovedError)
"""What makes another endpoint worth asking."""
_REFUSED: Final = (TransportError, WrongChainError, OtherGenesisError)
"""What one endpoint alone can do wrong."""

Result = TypeVar("Result")


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


class _Look(threading.local):
    """What a thread has begun: on which endpoint, and until when."""

    endpoint: Endpoint | None = None
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
    _all: list[Endpoint] = field(init=False)
    _look: _Look = field(default_factory=_Look, init=False)

    def __post_init__(self) -> None:
        transports = self.transports or [Transport(url) for url in self.urls]
        self._all = [Endpoint(number=at, transport=each) for at, each in enumerate(transports, start=1)]

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
        return self._on_any(method, lambda endpoint: endpoint.ask((method, params), self._seconds()))

    def ask_many(self, calls: Sequence[Call]) -> list[Any] | dict[str, Any]:
        """The answers to one request with many calls, in their order; an object where the node refuses it whole."""
        return self._on_any("batch", lambda endpoint: endpoint.ask_many(calls, self._seconds()))

    def send(self, raw: str) -> Any:
        """The same signed bytes to every endpoint: one that drops them, or is cut off, loses nothing.

        Any acceptance counts; otherwise the answer of the endpoint that is read from, for another one's refusal may
        come of its lagging. Raises ChainUnreachableError when nobody accepted and that one did not answer.
        """
        first: Any = None
        refusal: Exception | None = None
        try:
            first = self.ask(SEND, [raw])
        except ChainUnreachableError as error:
            refusal = error
        for answer in self._of_others(lambda endpoint: endpoint.ask((SEND, [raw]), self._seconds(PROBE_SECONDS))):
            if "result" in answer and (first is None or "result" not in first):
                first = answer
        if first is None:
            raise refusal or ChainUnreachableError(f"{SEND}: nobody was asked")
        return first

    def anyone_else_says(self, calls: Sequence[Call], judge: Callable[[list[Any]], bool]) -> bool:
        """Whether any endpoint but the one that is read from answers so; those that do not answer say nothing."""
        for answers in self._of_others(lambda endpoint: endpoint.ask_many(calls, self._seconds(PROBE_SECONDS))):
            found = [each.get("result") for each in answers] if isinstance(answers, list) else []
            if len(found) == len(calls) and judge(found):
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
        found: list[tuple[Endpoint, int | None, str]] = []
        for endpoint in self._all:
            try:
                sight = self._seen(endpoint, None, seconds)
            except _REFUSED as error:
                found.append((endpoint, None, _reason(error)))
            else:
                found.append((endpoint, sight.head_number, ""))
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
        met: list[tuple[Endpoint, Exception]] = []
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

    def _chosen(self, anchor: Anchor | None, met: list[tuple[Endpoint, Exception]]) -> Endpoint | None:
        """The first endpoint that answers, keeps up with the others and stands on the anchor.

        When none stands on the anchor, the chain itself has left it, and the follower is to learn that.
        """
        sights = self._sights(self._ready(), anchor, met) or self._sights(self._aside(), anchor, met)
        if not sights:
            return None
        standing = [(endpoint, sight) for endpoint, sight in sights if sight.stands]
        for endpoint, sight in sights:
            if standing and not sight.stands:
                number = anchor.number if anchor else 0
                endpoint.fail(TransportError(f"its block {number} is not the one that is final"))
        usable = standing or sights
        best = max(sight.head_number for _, sight in usable)
        for endpoint, sight in usable:
            if best - sight.head_number > LAG_BLOCKS:
                endpoint.fail(TransportError(f"{best - sight.head_number} blocks behind"))
        return next(endpoint for endpoint, sight in usable if best - sight.head_number <= LAG_BLOCKS)

    def _sights(
        self, asked: Sequence[Endpoint], anchor: Anchor | None, met: list[tuple[Endpoint, Exception]]
    ) -> list[tuple[Endpoint, Sight]]:
        """What those show that were not tried yet; whoever shows nothing is noted in `met`."""
        found = []
        for endpoint in asked:
            if any(endpoint is tried for tried, _ in met):
                continue
            try:
                found.append((endpoint, self._seen(endpoint, anchor, PROBE_SECONDS)))
            except _REFUSED as error:
                endpoint.fail(error)
                met.append((endpoint, error))
        return found

    def _seen(self, endpoint: Endpoint, anchor: Anchor | None, seconds: float) -> Sight:
        """What it shows, when it serves this chain."""
        sight = endpoint.sight(anchor, self._seconds(seconds))
        self._accept(endpoint, sight.identity)
        return sight

    def _on_any(self, what: str, ask: Callable[[Endpoint], Result]) -> Result:
        """On the look's endpoint, or the first that answers. ChainUnreachableError names every failure."""
        met: list[tuple[Endpoint, Exception]] = []
        begun = self._look.endpoint
        for endpoint in [begun] if begun is not None else [*self._ready(), *self._aside()]:
            try:
                if not self.is_one:
                    self._require_checked(endpoint)
                return ask(endpoint)
            except _REFUSED as error:
                if begun is None:  # else the look's own end sets it aside, once
                    endpoint.fail(error)
                met.append((endpoint, error))
        raise self._nobody(what, met)

    def _seconds(self, wanted: float | None = None) -> float:
        """How long a call may take, within the look's own time."""
        wanted = self.call_seconds if wanted is None else wanted
        if self._look.deadline is None:
            return wanted
        left = self._look.deadline - time.monotonic()
        if left <= 0:
            raise TimeUpError("the time for all questions together is used up")
        return min(wanted, left)

    def _require_checked(self, endpoint: Endpoint) -> None:
        if not endpoint.is_checked:
            self._check(endpoint, PROBE_SECONDS)

    def _check(self, endpoint: Endpoint, seconds: float) -> None:
        self._accept(endpoint, endpoint.identity(self._seconds(seconds)))

    def _accept(self, endpoint: Endpoint, served: Identity) -> None:
        """Raise unless it serves the chain; the first one to answer defines it where nobody has."""
        require_identity(served.chain_id, served.genesis_hash, self.chain_id, self.genesis_hash)
        self.chain_id, self.genesis_hash = served.chain_id, served.genesis_hash
        endpoint.is_checked = True

    def recheck(self) -> None:
        """Look at the chain's identity anew, on the look's endpoint or the first that answers. Raises like `ask`."""
        if self._look.endpoint is None or self.is_one:
            self._on_any("eth_chainId", lambda endpoint: self._check(endpoint, self.call_seconds))

    def _ready(self) -> list[Endpoint]:
        """Those that are not set aside, in the setting's order."""
        now = time.monotonic()
        return [each for each in self._all if each.aside_until <= now]

    def _aside(self) -> list[Endpoint]:
        """Those that are, the soonest first."""
        now = time.monotonic()
        return sorted((each for each in self._all if each.aside_until > now), key=lambda each: each.aside_until)

    def _of_others(self, ask: Callable[[Endpoint], Result]) -> Iterator[Result]:
        """The answers of those that are ready and are not read from; whoever does not answer is set aside."""
        ready = self._ready()
        begun = self._look.endpoint or (ready[0] if ready else self._all[0])
        for endpoint in ready:
            if endpoint is begun:
                continue
            try:
                self._require_checked(endpoint)
                yield ask(endpoint)
            except _REFUSED as error:
                endpoint.fail(error)

    def _nobody(self, what: str, met: Sequence[tuple[Endpoint, Exception]]) -> Exception:
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
