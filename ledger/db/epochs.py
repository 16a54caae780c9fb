"""Where epochs stand: appending a transition, and reading the last one and the facts it was decided on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.db.errors import RowMissingError
from ledger.db.tables.epochs import EpochEventRow, EpochRow, VerdictCountRow
from ledger.model.epoch import EpochState
from ledger.model.errors import RefusedError
from ledger.model.units import EpochNumber, Timestamp
from ledger.tree.canonical import canonical_json

FIRST_ATTEMPT = 1


class StaleStateError(RefusedError):
    """The epoch is no longer in the state this step starts from: another process moved it."""

    code = "epoch.stale"
    retryable = True
    default_hint = "ath-ledger epoch list"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStanding:
    """An epoch's last event: its state, its attempt, and its version, which counts events."""

    epoch: EpochNumber
    state: EpochState
    attempt: int
    version: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEvent:
    """One transition as recorded."""

    number: int
    state: EpochState
    attempt: int
    facts: Mapping[str, Any]
    reason: str
    recorded_at: Timestamp


def current(session: Session, epoch: EpochNumber) -> EpochStanding:
    """Where an epoch stands. Raises RowMissingError for one that was never named."""
    row = session.get(EpochRow, epoch)
    if row is None:
        raise RowMissingError(f"epoch {epoch} is not known here")
    return _standing(row)


def state_of(session: Session, epoch: EpochNumber) -> EpochState:
    """The state of an epoch; OPEN for one that was never named."""
    row = session.get(EpochRow, epoch)
    return EpochState.OPEN if row is None else EpochState(row.state)


def all_standings(session: Session) -> list[EpochStanding]:
    """Every epoch named so far, ascending."""
    return [_standing(row) for row in session.execute(select(EpochRow).order_by(EpochRow.epoch)).scalars()]


def first_unfinished(session: Session) -> EpochNumber:
    """The lowest epoch that is not FINAL."""
    row = session.execute(
        select(EpochRow.epoch).where(EpochRow.state != EpochState.FINAL.value).order_by(EpochRow.epoch).limit(1)
    ).scalar_one_or_none()
    if row is not None:
        return EpochNumber(row)
    last = session.execute(select(EpochRow.epoch).order_by(EpochRow.epoch.desc()).limit(1)).scalar_one_or_none()
    return EpochNumber(0 if last is None else last + 1)


def last_final(session: Session) -> EpochNumber:
    """The newest FINAL epoch. Raises RowMissingError while there is none."""
    row = session.execute(
        select(EpochRow.epoch).where(EpochRow.state == EpochState.FINAL.value).order_by(EpochRow.epoch.desc()).limit(1)
    ).scalar_one_or_none()
    if row is None:
        raise RowMissingError("no epoch is final yet", hint="ath-ledger epoch list")
    return EpochNumber(row)


def open_epoch(session: Session, epoch: EpochNumber, *, recorded_at: Timestamp) -> EpochStanding:
    """Where an epoch stands, naming it as OPEN the first time."""
    if session.get(EpochRow, epoch) is None:
        session.add(
            EpochRow(epoch=epoch, state=EpochState.OPEN.value, attempt=FIRST_ATTEMPT, version=0, reason=""),
        )
        session.flush()
        return record_transition(session, current(session, epoch), EpochState.OPEN, facts={}, recorded_at=recorded_at)
    return current(session, epoch)


def lock_epoch(session: Session, epoch: EpochNumber, *, expected: EpochState | None = None) -> EpochStanding:
    """Where an epoch stands, held against other writers until the transaction ends.

    Raises StaleStateError when it is not in the expected state, RowMissingError when it was never named.
    """
    row = session.execute(select(EpochRow).where(EpochRow.epoch == epoch).with_for_update()).scalar_one_or_none()
    if row is None:
        raise RowMissingError(f"epoch {epoch} is not known here")
    if expected is not None and row.state != expected.value:
        raise StaleStateError(f"epoch {epoch} is {row.state}, not {expected}")
    return _standing(row)


def record_transition(
    session: Session,
    standing: EpochStanding,
    state: EpochState,
    *,
    facts: Mapping[str, Any],
    recorded_at: Timestamp,
    reason: str = "",
    attempt: int | None = None,
) -> EpochStanding:
    """Append the transition to the epoch's events and move the projection.

    The event's number is the version it was decided on plus one: two processes cannot both continue one state.
    """
    number = standing.version + 1
    attempt = standing.attempt if attempt is None else attempt
    session.add(
        EpochEventRow(
            epoch=standing.epoch,
            number=number,
            state=state.value,
            attempt=attempt,
            facts=canonical_json(facts).decode(),
            reason=reason,
            recorded_at=recorded_at,
        )
    )
    row = session.get(EpochRow, standing.epoch)
    if row is None or row.version != standing.version:
        raise StaleStateError(f"epoch {standing.epoch} was moved by another process")
    row.state, row.attempt, row.version, row.reason = state.value, attempt, number, reason
    session.flush()
    return _standing(row)


def facts(session: Session, epoch: EpochNumber, state: EpochState) -> Mapping[str, Any]:
    """What the epoch's last transition into a state recorded. Integers beyond 2⁵³ are decimal strings."""
    found = session.execute(
        select(EpochEventRow.facts)
        .where(EpochEventRow.epoch == epoch, EpochEventRow.state == state.value)
        .order_by(EpochEventRow.number.desc())
        .limit(1)
    ).scalar_one_or_none()
    if found is None:
        raise RowMissingError(f"epoch {epoch} has not been {state} yet", hint=f"ath-ledger epoch show {epoch}")
    document: Mapping[str, Any] = json.loads(found)
    return document


def events(session: Session, epoch: EpochNumber) -> list[EpochEvent]:
    """Every transition of an epoch, in order."""
    rows = session.execute(
        select(EpochEventRow).where(EpochEventRow.epoch == epoch).order_by(EpochEventRow.number)
    ).scalars()
    return [
        EpochEvent(
            number=row.number,
            state=EpochState(row.state),
            attempt=row.attempt,
            facts=json.loads(row.facts),
            reason=row.reason,
            recorded_at=Timestamp(row.recorded_at),
        )
        for row in rows
    ]


def record_verdict_counts(
    session: Session, epoch: EpochNumber, attempt: int, counts: Mapping[tuple[str, str], int]
) -> None:
    """How often each code was given, by (scope, code); the empty code means accepted."""
    session.add_all(
        VerdictCountRow(epoch=epoch, attempt=attempt, scope=scope, code=code, count=count)
        for (scope, code), count in sorted(counts.items())
    )


def verdict_counts(session: Session, epoch: EpochNumber, attempt: int) -> dict[tuple[str, str], int]:
    """The counts of an attempt, by (scope, code)."""
    rows = session.execute(
        select(VerdictCountRow)
        .where(VerdictCountRow.epoch == epoch, VerdictCountRow.attempt == attempt)
        .order_by(VerdictCountRow.scope, VerdictCountRow.code)
    ).scalars()
    return {(row.scope, row.code): row.count for row in rows}


def _standing(row: EpochRow) -> EpochStanding:
    return EpochStanding(
        epoch=EpochNumber(row.epoch),
        state=EpochState(row.state),
        attempt=row.attempt,
        version=row.version,
        reason=row.reason,
    )
