"""What a watcher saw, as a Prometheus textfile: written whole, so a collector never reads half of it. No addresses."""

from dataclasses import dataclass
from pathlib import Path

from ledger.model.durable import write_whole
from ledger.model.units import Timestamp
from ledger.steps.watching.look import Judged, Look, Verdict

_PREFIX = "ath_ledger_watch_"


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
        lines = [
            *_metric("looks_total", "counter", "looks at the chain that succeeded", self.looks),
            *_metric("failed_looks_total", "counter", "looks that failed: chain or disk", self.failed_looks),
            *_metric("alarms_total", "counter", "headers that are wrong or cannot be recomputed", self.alarms),
            *_metric("revocations_total", "counter", "headers revoked by this watcher", self.revocations),
            *_metric("undelivered_alarms_total", "counter", "alarms the webhook did not take", self.undelivered_alarms),
        ]
        if self.last_block is not None and self.last_look_at is not None:
            lines += _metric("last_block", "gauge", "newest block looked at", self.last_block)
            lines += _metric("last_block_timestamp_seconds", "gauge", "time of that block", self.last_look_at)
        lines += _metric("pending", "gauge", "whether a header is in its window", int(self.pending is not None))
        if self.pending is not None:
            closes = self.pending.activates_at
            lines += _metric("pending_epoch", "gauge", "its epoch", self.pending.epoch)
            lines += _metric("pending_window_closes_timestamp_seconds", "gauge", "when it may be activated", closes)
            lines += [f"# HELP {_PREFIX}pending_verdict the verdict on it", f"# TYPE {_PREFIX}pending_verdict gauge"]
            lines += [
                f'{_PREFIX}pending_verdict{{verdict="{each}"}} {int(self.pending.verdict is each)}' for each in Verdict
            ]
        return "\n".join(lines) + "\n"

    def write(self, file: Path) -> None:
        """Put the file in place in one step."""
        write_whole(file, self.text())


def _metric(name: str, kind: str, meaning: str, value: int) -> list[str]:
    full = _PREFIX + name
    return [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}", f"{full} {value}"]
