"""A fake broker: doorbell messages that are lost, delivered many times, late and out of order.

It stands where `ledger.tasks` has its Celery app: tasks are registered with it and messages sent through it. It carries
what the real one carries, a task's name and its few arguments, and knows nothing else. A worker that dies hands its
message back, as `acks_late` does. Left out: visibility timeouts, which only are one more repeated delivery.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = tuple[str, tuple[Any, ...]]
"""A task and its arguments."""


@dataclass(slots=True, kw_only=True)
class Broker:
    """The queue. `fault` is asked what happens to each message."""

    rng: random.Random
    fault: Callable[[], str | None]
    queue: list[Message] = field(default_factory=list)

    def send_task(self, name: str, args: Sequence[Any] = (), **_options: Any) -> None:
        """Celery's own entry, as `ledger.tasks.bell` calls it."""
        self.post((name, tuple(args)))

    def post(self, message: Message) -> None:
        """Put a message into the queue, or what a fault makes of it."""
        match self.fault():
            case "message lost":
                return
            case "message doubled":
                self.queue += [message] * self.rng.choice((2, 2, 4))
            case _:
                self.queue.append(message)

    def take(self) -> Message:
        """The next message; out of order when the queue is long and the fault says so."""
        at = self.rng.randrange(len(self.queue)) if self.fault() == "message overtaken" else 0
        return self.queue.pop(at)


class Tasks:
    """What one worker can do: the bodies `ledger.tasks.work` registers, by name; sends through the one broker."""

    def __init__(self, broker: Broker) -> None:
        self.send_task = broker.send_task
        self.bodies: dict[str, Callable[..., None]] = {}

    def task(self, *, name: str, shared: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Celery's decorator."""

        def keep(body: Callable[..., None]) -> Callable[..., None]:
            self.bodies[name] = body
            return body

        return keep
