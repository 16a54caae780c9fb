"""What a step answers, and how it moves an epoch: one transition, one transaction, one event."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The epoch made one transition."""

    epoch: EpochNumber
    state: EpochState
    what: str
    """One sentence for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Nothing can be done now, and why."""

    epoch: EpochNumber
    state: EpochState
    why: str
    """One sentence for a person: what is awaited."""
    until: int | None = None
    """The second from which it is worth trying again, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The epoch is final; there is nothing left to do."""

    epoch: EpochNumber


StepResult = Moved | Waiting | Done


def sentence(result: StepResult) -> str:
    """The result for a person."""
    match result:
        case Moved():
            return f"epoch {result.epoch} is {result.state}: {result.what}"
        case Waiting():
            until = f" (until {utc(result.until)})" if result.until is not None else ""
            return f"epoch {result.epoch} stays {result.state}: {result.why}{until}"
        case Done():
            return f"epoch {result.epoch} is final"


def as_fact(result: StepResult) -> dict[str, Any]:
    """The result as values."""
    return {"result": type(result).__name__.lower(), **asdict(result)}


_YEAR_10000 = 253_402_300_800


def utc(at: int) -> str:
    """A second as people write it, `2023-06-15 10:00:00 UTC`."""
    if at >= _YEAR_10000:
        return str(at)  # signed values may name any second up to 2⁶⁴; no calendar has a name for it
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


Facts = Mapping[str, Any]
