"""The Celery app: JSON messages, acknowledged late, one at a time; what it carries are bells, never state."""

from typing import Any, Final

from celery import Celery

from ledger.tasks.transport import use_for_redis

MEMORY: Final = "memory://"
"""The broker inside one process."""
TASK_SECONDS: Final = 600
REDELIVERY_SECONDS: Final = 3600


def celery_app(
    broker_url: str, *, task_seconds: int = TASK_SECONDS, redelivery_seconds: int = REDELIVERY_SECONDS
) -> Celery:
    """An app that only rings; results are ignored.

    `task_seconds`: a task that takes longer is killed with its process, and rung for again by the sweep.
    `redelivery_seconds`: a message whose worker vanished is given to another one after so long, which has to be longer
    than any task may take.
    """
    use_for_redis()
    app = Celery("ath-ledger", broker=broker_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue="ath-ledger",
        worker_prefetch_multiplier=1,
        task_time_limit=task_seconds,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a broker may be away for longer than anybody counts
        broker_transport_options=_transport_options(broker_url, redelivery_seconds),
        worker_enable_remote_control=False,  # whoever reaches the broker must not slow down or stop a worker by a word
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def _transport_options(broker_url: str, redelivery_seconds: int) -> dict[str, Any]:
    if broker_url.startswith("memory:"):
        return {"polling_interval": 0.02}
    # a server that hangs, or a machine that is cut off, must look like one that is away
    patience = {"socket_timeout": 30, "socket_connect_timeout": 5, "socket_keepalive": True}
    return {"visibility_timeout": redelivery_seconds, **patience}
