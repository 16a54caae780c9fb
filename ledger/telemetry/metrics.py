"""Metrics in Prometheus' text format: every name, kind and meaning in one list, and those a process counts by itself.

No metric carries an amount of money or an address. What the database knows is gathered when somebody asks (see
`ledger.steps.checkup.figures`); here is what only a process knows: how long its work took.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ledger.model.units import Timestamp
from ledger.telemetry.serving import SHARED_FOLDER

PREFIX: Final = "ath_ledger_"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["gauge", "counter", "histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One metric: its name without the prefix, what it means, and what its samples are told apart by."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is exposed."""
        return PREFIX + self.name


Samples = Iterable[tuple[tuple[str, ...], int | float]]


def _gathered(*rows: tuple[str, Kind, str, str]) -> Mapping[str, Named]:
    return {
        name: Named(name=name, kind=kind, labels=tuple(labels.split()), meaning=meaning)
        for name, kind, labels, meaning in rows
    }


GATHERED: Final = _gathered(
    ("database_up", "gauge", "", "1 when the database answered this look in time"),
    ("build_info", "gauge", "version schema", "1; which release and which database schema answer"),
    ("epochs", "gauge", "state", "epochs in each state"),
    ("epochs_halted", "gauge", "", "epochs that wait for a person"),
    ("last_sealed_epoch", "gauge", "", "the newest epoch with a seal"),
    ("last_sealed_timestamp_seconds", "gauge", "", "when it was sealed"),
    ("last_final_epoch", "gauge", "", "the newest epoch that is final"),
    ("last_final_timestamp_seconds", "gauge", "", "when it became final here"),
    ("epoch_length_seconds", "gauge", "", "how long an epoch is"),
    ("queue_age_seconds", "gauge", "queue", "age of the oldest thing that is due and not done, of three queues"),
    ("submissions_waiting", "gauge", "", "submissions received and not judged yet"),
    ("items_total", "counter", "kind schema", "signed items taken in: batches, registrations, revocations"),
    ("refusals_total", "counter", "kind code", "submissions refused at the door, by reason"),
    ("epoch_verdicts", "gauge", "scope code", "verdicts on the newest computed epoch's evidence: accepted, or why not"),
    ("outbox_entries", "gauge", "state", "transactions of the outbox in each state"),
    ("finality_lag_blocks", "gauge", "", "blocks between the head and the final block when the follower last looked"),
    ("finality_lag_seconds", "gauge", "", "age of the newest block that is final here"),
    ("chain_final_block", "gauge", "", "number of that block"),
    ("chain_reorgs_total", "counter", "", "branches the chain left while it was followed"),
    ("suspense_open", "gauge", "", "differences on record that nobody has cleared; new payouts rest"),
    ("journal_entries_total", "counter", "", "entries of the books"),
)  # fmt: skip
"""What the database knows."""

WATCHED: Final = _gathered(
    ("watch_looks_total", "counter", "", "looks at the chain that succeeded"),
    ("watch_failed_looks_total", "counter", "", "looks that failed: chain or disk"),
    ("watch_alarms_total", "counter", "", "headers that are wrong or cannot be recomputed"),
    ("watch_revocations_total", "counter", "", "headers revoked by this watcher"),
    ("watch_undelivered_alarms_total", "counter", "", "alarms the webhook did not take"),
    ("watch_last_block", "gauge", "", "newest block looked at"),
    ("watch_last_block_timestamp_seconds", "gauge", "", "time of that block"),
    ("watch_pending", "gauge", "", "whether a header is in its window"),
    ("watch_pending_epoch", "gauge", "", "its epoch"),
    ("watch_pending_window_closes_timestamp_seconds", "gauge", "", "when it may be activated"),
    ("watch_pending_verdict", "gauge", "verdict", "the verdict on it"),
)
"""What a watcher saw (`audit watch --metrics-file`)."""

COUNTED: Final = _gathered(
    ("step_seconds", "histogram", "step outcome", "how long a step took"),
    ("step_failures_total", "counter", "step code", "steps that failed, by the code of the failure"),
    ("http_request_seconds", "histogram", "route method status", "how long a request took"),
    ("reconcile_differences", "gauge", "", "what the last reconciliation of this service found"),
    ("reconcile_last_timestamp_seconds", "gauge", "", "when that was"),
)
"""What a process counts while it runs."""

_STEP_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# no line for when each series began: Prometheus' text format has no use for it
disable_created_metrics()  # type: ignore[no-untyped-call]

_OWN: Final = CollectorRegistry()
ProcessCollector(registry=_OWN)


def _histogram(name: str, buckets: tuple[float, ...]) -> Histogram:
    named = COUNTED[name]
    return Histogram(named.full_name, named.meaning, named.labels, buckets=buckets, registry=_OWN)


def _gauge(name: str) -> Gauge:
    named = COUNTED[name]
    return Gauge(named.full_name, named.meaning, named.labels, registry=_OWN, multiprocess_mode="mostrecent")


_STEP_SECONDS = _histogram("step_seconds", _STEP_BUCKETS)
_STEP_FAILURES = Counter(
    COUNTED["step_failures_total"].full_name,
    COUNTED["step_failures_total"].meaning,
    COUNTED["step_failures_total"].labels,
    registry=_OWN,
)
_REQUEST_SECONDS = _histogram("http_request_seconds", _REQUEST_BUCKETS)
_RECONCILE_DIFFERENCES = _gauge("reconcile_differences")
_RECONCILE_LAST = _gauge("reconcile_last_timestamp_seconds")


@dataclass(slots=True)
class Timing:
    """A step under way; `outcome` may be told more exactly before it ends."""

    outcome: str = "done"


@contextmanager
def timed_step(step: str) -> Iterator[Timing]:
    """Time a block as one step; one that raises counts as failed, by its error's code."""
    timing, began = Timing(), time.perf_counter()
    try:
        yield timing
    except Exception as error:
        timing.outcome = "failed"
        _STEP_FAILURES.labels(step, getattr(error, "code", "unexpected.error")).inc()
        raise
    finally:
        _STEP_SECONDS.labels(step, timing.outcome).observe(time.perf_counter() - began)


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count one HTTP request; `route` is the route's template, so that no address becomes a label."""
    _REQUEST_SECONDS.labels(route, method, str(status)).observe(seconds)


def reconciled(differences: int, at: Timestamp) -> None:
    """Note how a reconciliation ended."""
    _RECONCILE_DIFFERENCES.set(differences)
    _RECONCILE_LAST.set(at)


def family(named: Named, samples: Samples) -> Metric:
    """A gathered metric with its samples: label values in the order of the metric's labels, and a number."""
    made: GaugeMetricFamily | CounterMetricFamily
    match named.kind:
        case "counter":
            made = CounterMetricFamily(named.full_name, named.meaning, labels=named.labels)
        case _:
            made = GaugeMetricFamily(named.full_name, named.meaning, labels=named.labels)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made


def exposition(gathered: Iterable[Metric], *, with_own: bool = True) -> bytes:
    """Prometheus' text format: what was gathered, and what this process, or all processes of its service, counted."""
    families = list(gathered)

    class Given(Collector):
        def collect(self) -> Iterable[Metric]:
            return families

    asked = CollectorRegistry(auto_describe=False)
    asked.register(Given())
    text: bytes = generate_latest(asked)
    return text + generate_latest(_own_registry()) if with_own else text


def _own_registry() -> CollectorRegistry:
    if SHARED_FOLDER not in os.environ:
        return _OWN
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared
