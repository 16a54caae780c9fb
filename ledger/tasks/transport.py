"""Redis as the workers' broker, with one thing mended: no worker goes deaf when its broker goes away under a task.

A worker takes the next message once it has acknowledged the last one. Kombu's Redis transport keeps a message counted
as outstanding when its acknowledgement meets a dead connection; with one message at a time there is then no room for
another, nothing is asked of Redis again, and so the lost connection is never noticed either. Here the room is free
whatever the answer: the next look meets the dead connection, and Celery connects anew. Redis, if it still has the
message, delivers it again; a message may always come twice.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual


class Outstanding(redis.QoS):
    """What was delivered and not settled yet: settled is settled, also when Redis could not be told."""

    def ack(self, delivery_tag: str) -> None:
        """The work is done. Raises what the connection raises."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        finally:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """The work was not done here. Raises what the connection raises."""
        try:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        finally:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]


class Channel(redis.Channel):
    """A channel that keeps room for the next message."""

    QoS: Any = Outstanding


class Transport(redis.Transport):
    """Kombu's Redis transport with such channels."""

    Channel: Any = Channel


def use_for_redis() -> None:
    """Let `redis://` and `rediss://` mean this transport in this process; again is harmless."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
