"""Where epochs stand: appending a transition, and reading the last one and the facts it was decided on."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from ledger.db.errors import RowMissingError
from ledger.db.schema import table_of
from ledger.db.serial import one_at_a_time
from ledger.db.tables.epochs import EpochEventRow, EpochRow, VerdictCountRow
from ledger.model.epoch import EpochState
from ledger.model.errors import RefusedError
from ledger.model.units import EpochNumber, Timestamp
from ledger.tree.canonical import canonical_json

FIRST_ATTEMPT = 1

_EPOCHS: Final = table_of(EpochRow)
_EVENTS: Final = table_of(EpochEventRow)

# statements are built once: a worker asks where an epoch stands many times for every step it takes
_STANDINGS: Final[Select[Any]] = select(_EPOCHS)
_STANDING: Final = _STANDINGS.where(_EPOCHS.c.epoch == bindparam("epoch"))
_STANDING_LOCKED: Final = _STANDING.with_for_update()
_STANDINGS_BETWEEN: Final = _STANDINGS.where(_EPOCHS.c.epoch.between(bindparam("first"), bindparam("last")))
_ALL_STANDINGS: Final = _STANDINGS.order_by(_EPOCHS.c.epoch)
_FIRST_UNFINISHED: Final = (
    select(_EPOCHS.c.epoch).where(_EPOCHS.c.state != EpochState.FINAL.value).order_by(_EPOCHS.c.epoch).limit(1)
)
_LAST: Final = select(_EPOCHS.c.epoch).order_by(_EPOCHS.c.epoch.desc()).limit(1)
_LAST_FINAL: Final = _LAST.where(_EPOCHS.c.state == EpochState.FINAL.value)
_FACTS: Final = (
    select(_EVENTS.c.facts)
    .where(_EVENTS.c.epoch == bindparam("epoch"), _EVENTS.c.state == bindparam("state"))
    .order_by(_EVENTS.c.number.desc())
    .limit(1)
)


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
    row = session.execute(_STANDING, {"epoch": epoch}).one_or_none()
    if row is None:
        raise RowMissingError(f"epoch {epoch} is not known here")
    return _standing(row)


def state_of(session: Session, epoch: EpochNumber) -> EpochState:
    """The state of an epoch; OPEN for one that was never named."""
    row = session.execute(_STANDING, {"epoch": epoch}).one_or_none()
    return EpochState.OPEN if row is None else EpochState(row.state)


def standings_between(session: Session, first: int, last: int) -> dict[EpochNumber, EpochStanding]:
    """Where the epochs of a range stand, both ends included; those that were never named are absent."""
    rows = session.execute(_STANDINGS_BETWEEN, {"first": first, "last": last})
    return {EpochNumber(row.epoch): _standing(row) for row in rows}


def all_standings(session: Session) -> list[EpochStanding]:
    """Every epoch named so far, ascending."""
    return [_standing(row) for row in session.execute(_ALL_STANDINGS)]


def first_unfinished(session: Session) -> EpochNumber:
    """The lowest epoch that is not FINAL."""
    row = session.execute(_FIRST_UNFINISHED).scalar_one_or_none()
    if row is not None:
        return EpochNumber(row)
    last = session.execute(_LAST).scalar_one_or_none()
    return EpochNumber(0 if last is None else last + 1)


def last_final(session: Session) -> EpochNumber:
    """The newest FINAL epoch. Raises RowMissingError while there is none."""
    row = session.execute(_LAST_FINAL).scalar_one_or_none()
    if row is None:
        raise RowMissingError("no epoch is final yet", hint="ath-ledger epoch list")
    return EpochNumber(row)


def last_in(session: Session, states: Collection[EpochState]) -> EpochNumber | None:
    """The highest epoch that is in one of these states; None when none is."""
    query = select(func.max(EpochRow.epoch)).where(EpochRow.state.in_([state.value for state in states]))
    found = session.execute(query).scalar_one_or_none()
    return None if found is None else EpochNumber(found)


def open_epoch(session: Session, epoch: EpochNumber, *, recorded_at: Timestamp) -> EpochStanding:
    """Where an epoch stands, naming it as OPEN the first time."""
    one_at_a_time(session, "epochs")
    row = session.execute(_STANDING, {"epoch": epoch}).one_or_none()
    if row is not None:
        return _standing(row)
    unnamed = EpochStanding(epoch=epoch, state=EpochState.OPEN, attempt=FIRST_ATTEMPT, version=0, reason="")
    session.execute(
        insert(_EPOCHS),
        {"epoch": epoch, "state": unnamed.state.value, "attempt": unnamed.attempt, "version": 0, "reason": ""},
    )
    return record_transition(session, unnamed, EpochState.OPEN, facts={}, recorded_at=recorded_at)


def lock_epoch(session: Session, epoch: EpochNumber, *, expected: EpochState | None = None) -> EpochStanding:
    """Where an epoch stands, held against other writers until the transaction ends.

    Raises StaleStateError when it is not in the expected state, RowMissingError when it was never named.
    """
    row = session.execute(_STANDING_LOCKED, {"epoch": epoch}).one_or_none()
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
    moved = session.execute(
        update(_EPOCHS)
        .where(_EPOCHS.c.epoch == standing.epoch, _EPOCHS.c.version == standing.version)
        .values(state=state.value, attempt=attempt, version=number, reason=reason)
        .returning(_EPOCHS.c.version)
    ).scalar_one_or_none()
    if moved is None:
        raise StaleStateError(f"epoch {standing.epoch} was moved by another process")
    session.execute(
        insert(_EVENTS),
        {
            "epoch": standing.epoch,
            "number": number,
            "state": state.value,
            "attempt": attempt,
            "facts": canonical_json(facts).decode(),
            "reason": reason,
            "recorded_at": recorded_at,
        },
    )
    return EpochStanding(epoch=standing.epoch, state=state, attempt=attempt, version=number, reason=reason)


def rebuild_epochs(session: Session) -> None:
    """Make the projection anew from the events."""
    one_at_a_time(session, "epochs")
    last: dict[int, EpochEventRow] = {}
    for row in session.execute(select(EpochEventRow).order_by(EpochEventRow.epoch, EpochEventRow.number)).scalars():
        last[row.epoch] = row
    session.execute(delete(EpochRow))
    session.add_all(
        EpochRow(epoch=epoch, state=row.state, attempt=row.attempt, version=row.number, reason=row.reason)
        for epoch, row in last.items()
    )
    session.flush()


def facts(session: Session, epoch: EpochNumber, state: EpochState) -> Mapping[str, Any]:
    """What the epoch's last transition into a state recorded. Integers beyond 2⁵³ are decimal strings."""
    found = session.execute(_FACTS, {"epoch": epoch, "state": state.value}).scalar_one_or_none()
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
    session.flush()


def verdict_counts(session: Session, epoch: EpochNumber, attempt: int) -> dict[tuple[str, str], int]:
    """The counts of an attempt, by (scope, code)."""
    rows = session.execute(
        select(VerdictCountRow)
        .where(VerdictCountRow.epoch == epoch, VerdictCountRow.attempt == attempt)
        .order_by(VerdictCountRow.scope, VerdictCountRow.code)
    ).scalars()
    return {(row.scope, row.code): row.count for row in rows}


def _standing(row: Row[Any]) -> EpochStanding:
    return EpochStanding(
        epoch=EpochNumber(row.epoch),
        state=EpochState(row.state),
        attempt=row.attempt,
        version=row.version,
        reason=row.reason,
    )
