"""How much there is of what: counts and times for those who watch over a ledger, found by index however large it is."""

from collections.abc import Mapping

from sqlalchemy import and_, exists, func, select, text
from sqlalchemy.orm import Session, aliased

from ledger.db.outbox_entry import OPEN_STATES, OutboxState
from ledger.db.schema import Base
from ledger.db.tables.epochs import EpochEventRow, EpochRow
from ledger.db.tables.items import ItemRow, RefusalRow
from ledger.db.tables.journal import JournalEntryRow
from ledger.db.tables.settlement import ChainReorg, OutboxEvent, OutboxIntent
from ledger.db.tables.submissions import SubmissionRow, SubmissionVerdictRow
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, Timestamp


def epochs_by_state(session: Session) -> Mapping[EpochState, int]:
    """How many epochs are in each state; states without one are missing."""
    rows = session.execute(select(EpochRow.state, func.count()).group_by(EpochRow.state))
    return {EpochState(state): count for state, count in rows}


def last_entered(session: Session, state: EpochState) -> tuple[EpochNumber, Timestamp] | None:
    """The newest epoch that entered a state, and when it last did."""
    row = session.execute(
        select(EpochEventRow.epoch, EpochEventRow.recorded_at)
        .where(EpochEventRow.state == state.value)
        .order_by(EpochEventRow.epoch.desc(), EpochEventRow.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (EpochNumber(row[0]), Timestamp(row[1]))


def standing_since(session: Session, epoch: EpochNumber) -> Timestamp | None:
    """When the epoch entered the state it is in; None for one that was never named."""
    at = session.execute(
        select(EpochEventRow.recorded_at)
        .where(EpochEventRow.epoch == epoch)
        .order_by(EpochEventRow.number.desc())
        .limit(1)
    ).scalar_one_or_none()
    return None if at is None else Timestamp(at)


def outbox_by_state(session: Session, chain_id: int) -> Mapping[str, int]:
    """How many transactions are in each state."""
    last, later = aliased(OutboxEvent), aliased(OutboxEvent)
    rows = session.execute(
        select(last.state, func.count())
        .join(OutboxIntent, OutboxIntent.seq == last.intent_seq)
        .where(
            OutboxIntent.chain_id == chain_id,
            ~exists().where(later.intent_seq == last.intent_seq, later.number == last.number + 1),
        )
        .group_by(last.state)
    )
    return {state: count for state, count in rows}  # noqa: C416 - rows are no pairs to mypy


def oldest_unmined_transaction(session: Session, chain_id: int) -> Timestamp | None:
    """When the oldest transaction was planned that is to be mined and is not.

    Mined ones are left out: whether those of operators and governors are final is looked up when they act again.
    """
    first, last, later = aliased(OutboxEvent), aliased(OutboxEvent), aliased(OutboxEvent)
    at = session.execute(
        select(func.min(first.at))
        .join(OutboxIntent, OutboxIntent.seq == first.intent_seq)
        .join(last, last.intent_seq == first.intent_seq)
        .where(
            OutboxIntent.chain_id == chain_id,
            first.number == 0,
            last.state.in_([state.value for state in OPEN_STATES - {OutboxState.MINED}]),
            ~exists().where(later.intent_seq == last.intent_seq, later.number == last.number + 1),
        )
    ).scalar_one()
    return None if at is None else Timestamp(at)


def submissions_waiting(session: Session, since: Timestamp) -> tuple[int, Timestamp | None]:
    """How many submissions received from a second on have no verdict, and when the oldest of them came."""
    judged = exists().where(
        and_(SubmissionVerdictRow.digest == SubmissionRow.digest, SubmissionVerdictRow.number == SubmissionRow.number)
    )
    count, oldest = session.execute(
        select(func.count(), func.min(SubmissionRow.received_at)).where(SubmissionRow.received_at >= since, ~judged)
    ).one()
    return int(count), None if oldest is None else Timestamp(oldest)


def newest_submission(session: Session) -> Timestamp | None:
    """When the newest submission was received."""
    at = session.execute(select(func.max(SubmissionRow.received_at))).scalar_one()
    return None if at is None else Timestamp(at)


def items_after(session: Session, arrival: int) -> tuple[int, Mapping[tuple[str, str], int]]:
    """The newest arrival, and how many items came after the given one, by kind and schema."""
    rows = session.execute(
        select(ItemRow.kind, ItemRow.schema, func.count(), func.max(ItemRow.arrival))
        .where(ItemRow.arrival > arrival)
        .group_by(ItemRow.kind, ItemRow.schema)
    ).all()
    return max((row[3] for row in rows), default=arrival), {(row[0], row[1]): row[2] for row in rows}


def refusals_after(session: Session, number: int) -> tuple[int, Mapping[tuple[str, str], int]]:
    """The newest refusal at the door, and how many came after the given one, by kind and code."""
    rows = session.execute(
        select(RefusalRow.kind, RefusalRow.code, func.count(), func.max(RefusalRow.number))
        .where(RefusalRow.number > number)
        .group_by(RefusalRow.kind, RefusalRow.code)
    ).all()
    return max((row[3] for row in rows), default=number), {(row[0], row[1]): row[2] for row in rows}


def reorg_count(session: Session, chain_id: int) -> int:
    """How many branches the chain left."""
    query = select(func.count()).select_from(ChainReorg).where(ChainReorg.chain_id == chain_id)
    return int(session.execute(query).scalar_one())


def newest_recorded(session: Session) -> Timestamp | None:
    """When the last entry of the books was recorded here."""
    at = session.execute(
        select(JournalEntryRow.recorded_at).order_by(JournalEntryRow.seq.desc()).limit(1)
    ).scalar_one_or_none()
    return None if at is None else Timestamp(at)


def tables_not_writable(session: Session) -> list[str]:
    """Tables the account may not add rows to; all of them on a standby. None on SQLite, which knows no accounts."""
    if session.connection().dialect.name != "postgresql":
        return []
    names = sorted(Base.metadata.tables)
    if session.execute(text("SELECT pg_is_in_recovery()")).scalar_one():
        return names
    may = text("SELECT has_table_privilege(current_user, CAST(:name AS text), 'INSERT')")
    return [name for name in names if not session.execute(may, {"name": name}).scalar_one()]
