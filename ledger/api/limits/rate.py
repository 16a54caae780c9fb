"""How many requests a client may make: a token bucket each, shared through Redis where there is one.

A bucket holds `burst` tokens and gains `per_second`; what costs more takes more. A broker that does not answer makes
nobody wait: the process counts by itself until it is back.
"""

import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from ledger.api.problems import HttpError

_LOG: Final = logging.getLogger("ledger.api")
_CLIENTS_KEPT: Final = 10_000
_BROKER_SECONDS: Final = 0.25
_BROKER_PAUSE_SECONDS: Final = 5
_MILLI: Final = 1_000


class RateExceededError(HttpError):
    """More requests than one client may make."""

    code = "rate.exceeded"
    status = HTTPStatus.TOO_MANY_REQUESTS
    retryable = True
    default_hint = "wait the seconds in Retry-After, then ask more slowly"

    def __init__(self, what: str, retry_after: int) -> None:
        super().__init__(what)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Allowance:
    """Tokens a bucket gains a second and holds at most; nothing is limited when `per_second` is 0."""

    per_second: int
    burst: int


class Buckets(Protocol):
    """Where the tokens are counted."""

    async def take(self, client: str, cost: int) -> int:
        """Take tokens: 0, or the milliseconds after which there will be enough."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class ProcessBuckets:
    """Counted in this process. Integers: thousandths of a token, milliseconds."""

    def __init__(self, allowance: Allowance, now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 10**6) -> None:
        self._allowance = allowance
        self._now_ms = now_ms
        self._buckets: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def take(self, client: str, cost: int) -> int:
        now, full = self._now_ms(), self._allowance.burst * _MILLI
        tokens, at = self._buckets.pop(client, (full, now))
        tokens = min(full, tokens + (now - at) * self._allowance.per_second)
        wanted = min(cost, self._allowance.burst) * _MILLI
        wait = 0 if tokens >= wanted else -(-(wanted - tokens) // self._allowance.per_second)
        self._buckets[client] = (tokens if wait else tokens - wanted, now)
        if len(self._buckets) > _CLIENTS_KEPT:
            self._buckets.popitem(last=False)
        return wait

    async def close(self) -> None:
        self._buckets.clear()


_TAKE: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local rate, full, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3]) * 1000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(full, (tonumber(kept[1]) or full) + (now - (tonumber(kept[2]) or now)) * rate)
local wait = 0
if tokens >= wanted then tokens = tokens - wanted else wait = math.ceil((wanted - tokens) / rate) end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(full / rate) + 1000)
return wait
"""


class RedisBuckets:
    """Counted in Redis, by its clock, for all processes and machines together."""

    def __init__(self, url: str, allowance: Allowance) -> None:
        import redis.asyncio as redis

        self._allowance = allowance
        self._here = ProcessBuckets(allowance)
        self._redis: Any = redis.from_url(
            url, socket_timeout=_BROKER_SECONDS, socket_connect_timeout=_BROKER_SECONDS, max_connections=64
        )
        self._take: Any = self._redis.register_script(_TAKE)
        self._silent_until = 0.0

    async def take(self, client: str, cost: int) -> int:
        import redis.exceptions

        if time.monotonic() < self._silent_until:
            return await self._here.take(client, cost)
        given = [self._allowance.per_second, self._allowance.burst, min(cost, self._allowance.burst)]
        try:
            return int(await self._take(keys=[f"ath-ledger:rate:{client}"], args=given))
        except (redis.exceptions.RedisError, OSError) as error:
            self._silent_until = time.monotonic() + _BROKER_PAUSE_SECONDS
            _LOG.warning("rate limits are counted in this process: %s", error)
            return await self._here.take(client, cost)

    async def close(self) -> None:
        await self._redis.aclose()


def buckets(broker_url: str, allowance: Allowance) -> Buckets:
    """Shared buckets where the broker is Redis, else this process's own."""
    if broker_url.startswith(("redis://", "rediss://")):
        return RedisBuckets(broker_url, allowance)
    return ProcessBuckets(allowance)


def client_named(host: str) -> str:
    """Who is counted as one: an IPv4 address, or the /64 network that one IPv6 customer has."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:100]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
