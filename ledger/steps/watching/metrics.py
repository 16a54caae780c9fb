"""What a watcher saw, as a Prometheus textfile: written whole, so a collector never reads half of it. No addresses."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.metrics_core import Metric

from ledger.model.durable import write_whole
from ledger.model.units import Timestamp
from ledger.steps.watching.look import Judged, Look, Verdict
from ledger.telemetry.metrics import WATCHED, exposition, family


@dataclass(slots=True)
class Metrics:
    """Counters since the watcher started, and the last look."""

    looks: int = 0
    failed_looks: int = 0
    alarms: int = 0
    revocations: int = 0
    undelivered_alarms: int = 0
    last_look_at: Timestamp | None = None
    last_block: int | None = None
    pending: Judged | None = None

    def saw(self, look: Look) -> None:
        """Take in a look that succeeded."""
        self.looks += 1
        self.last_look_at, self.last_block, self.pending = look.block.timestamp, look.block.number, look.pending

    def text(self) -> str:
        """All metrics; those of a pending header only while there is one."""
        return exposition(self._families(), with_own=False).decode()

    def write(self, file: Path) -> None:
        """Put the file in place in one step."""
        write_whole(file, self.text())

    def _families(self) -> Iterator[Metric]:
        yield _one("looks_total", self.looks)
        yield _one("failed_looks_total", self.failed_looks)
        yield _one("alarms_total", self.alarms)
        yield _one("revocations_total", self.revocations)
        yield _one("undelivered_alarms_total", self.undelivered_alarms)
        if self.last_block is not None and self.last_look_at is not None:
            yield _one("last_block", self.last_block)
            yield _one("last_block_timestamp_seconds", self.last_look_at)
        yield _one("pending", int(self.pending is not None))
        if self.pending is not None:
            yield _one("pending_epoch", self.pending.epoch)
            yield _one("pending_window_closes_timestamp_seconds", self.pending.activates_at)
            verdicts = [((each.value,), int(self.pending.verdict is each)) for each in Verdict]
            yield family(WATCHED["watch_pending_verdict"], verdicts)


def _one(name: str, value: int) -> Metric:
    return family(WATCHED[f"watch_{name}"], [((), value)])
