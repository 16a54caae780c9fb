"""The look at the broker: does it take bells, and does anybody answer them? Redis, or whatever Celery can be given."""

from typing import Final

from ledger.model.errors import EnvironmentFailure
from ledger.steps.checkup.doctor import Answer, well
from ledger.telemetry.secrets import redacted

IN_PROCESS: Final = "memory://"
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


def _knock(broker_url: str) -> None:
    if broker_url.startswith(("redis://", "rediss://", "unix://")):
        import redis

        with redis.Redis.from_url(
            broker_url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, retry=None
        ) as client:
            client.ping()
        return
    from kombu.connection import Connection

    with Connection(broker_url, connect_timeout=_SECONDS) as connection:  # type: ignore[no-untyped-call]
        connection.ensure_connection(max_retries=1, interval_start=0)
