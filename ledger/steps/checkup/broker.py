"""The look at the broker: does it take bells, and does anybody listen? Redis, or whatever else Celery can be given."""

from typing import TYPE_CHECKING, Final

from ledger.model.errors import EnvironmentFailure
from ledger.steps.checkup.doctor import Answer, beware, well
from ledger.telemetry.secrets import redacted

if TYPE_CHECKING:
    from redis import Redis

IN_PROCESS: Final = "memory://"
_REDIS: Final = ("redis://", "rediss://", "unix://")
_WAITS_FOR_BELLS: Final = frozenset({"brpop", "blpop"})
"""What a worker's connection does while it waits."""
_SECONDS: Final = 2


class BrokerUnreachableError(EnvironmentFailure):
    """The broker does not answer: bells are not rung. What is due is found by the sweep once it is back."""

    code = "broker.unreachable"
    default_hint = "start the broker or correct celery_broker_url; nothing is lost: docs/howto/broker-down.md"


def check_broker(broker_url: str) -> Answer:
    """The broker answers within seconds (BrokerUnreachableError)."""
    if broker_url.startswith(IN_PROCESS):
        return well("bells ring inside the process; there is no broker to reach")
    place = redacted(broker_url)
    try:
        _knock(broker_url)
    except Exception as error:  # every transport has its own errors, and all of them mean this
        raise BrokerUnreachableError(
            f"{place} does not answer: {redacted(str(error)) or type(error).__name__}"
        ) from error
    return well(f"{place} answers")


def check_workers(broker_url: str) -> Answer:
    """Somebody waits for bells at the broker. Only Redis can be asked who listens (BrokerUnreachableError)."""
    if broker_url.startswith(IN_PROCESS):
        return well("the work is done inside ath-ledger run")
    if not broker_url.startswith(_REDIS):
        return well("this broker cannot be asked who listens")
    check_broker(broker_url)
    with _redis(broker_url) as client:
        place = str(client.connection_pool.connection_kwargs.get("db", 0))
        listening = sum(
            each.get("cmd") in _WAITS_FOR_BELLS and each.get("db") == place for each in client.client_list()
        )
    if not listening:
        return beware("workers.none", "nobody listens for bells at the broker", "start one: ath-ledger worker")
    return well(f"{listening} workers listen")


def _knock(broker_url: str) -> None:
    if broker_url.startswith(_REDIS):
        with _redis(broker_url) as client:
            client.ping()
        return
    from kombu.connection import Connection

    with Connection(broker_url, connect_timeout=_SECONDS) as connection:  # type: ignore[no-untyped-call]
        connection.ensure_connection(max_retries=1, interval_start=0)


def _redis(broker_url: str) -> "Redis":
    import redis

    return redis.Redis.from_url(broker_url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=None)
