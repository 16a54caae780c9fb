"""The outbox's rows: intents with their nonces, signed attempts, events; the state is the last event.

Knows nothing of a chain. Every function works inside the caller's transaction, so that an intent is
written together with the step that wants it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ledger.db.epochs import StaleStateError
from ledger.db.errors import AlreadyDifferentError, RowMissingError
from ledger.db.tables.settlement import OutboxAttempt, OutboxEvent, OutboxIntent, OutboxSender
from ledger.model.errors import EnvironmentFailure, InvariantError, RefusedError
from ledger.model.units import Address, Hash32, Timestamp, Wei


class OutboxState(StrEnum):
    """planned → signed → broadcast ⇄ mined → final | reverted | withdrawn; or conflicted → abandoned."""

    PLANNED = "planned"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    MINED = "mined"
    FINAL = "final"
    REVERTED = "reverted"
    """Mined, final, and refused by the contract: nothing moved but the fee."""
    VOIDING = "voiding"
    """A person withdrew it; an empty transaction is to use up its nonce."""
    WITHDRAWN = "withdrawn"
    CONFLICTED = "conflicted"
    """Another transaction used the nonce. Sending stops."""
    ABANDONED = "abandoned"
    """A conflict a person has looked at. The effect has not happened."""


OPEN_STATES: Final = frozenset(
    {OutboxState.PLANNED, OutboxState.SIGNED, OutboxState.BROADCAST, OutboxState.MINED, OutboxState.VOIDING}
)
SETTLED_STATES: Final = frozenset({OutboxState.FINAL, OutboxState.REVERTED, OutboxState.WITHDRAWN})


class IntentConflictError(AlreadyDifferentError):
    """The same outbox key was asked for with another body."""

    code = "settle.conflict"
    default_hint = "the step and the outbox disagree about one effect; ath-ledger doctor"


class SenderUnknownError(EnvironmentFailure):
    """The outbox has not been opened for this sender."""

    code = "settle.sender-unknown"
    retryable = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One signed transaction: the bytes as broadcast."""

    number: int
    voids: bool
    tx_hash: Hash32
    raw: bytes
    gas: int
    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int
    signed_at: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """One effect on chain and where it stands."""

    seq: int
    key: str
    chain_id: int
    sender: Address
    nonce: int
    recipient: Address
    value_wei: Wei
    calldata: bytes
    state: OutboxState
    tx_hash: Hash32 | None
    """The transaction the state speaks of."""
    block_number: int | None
    block_hash: Hash32 | None
    detail: str
    events: int
    """How many events led here: the version of the state."""


def first_nonce(session: Session, chain_id: int, sender: Address) -> int | None:
    """From which nonce on the account belongs to the outbox; None when it does not."""
    found = session.get(OutboxSender, (chain_id, sender))
    return found.first_nonce if found is not None else None


def senders(session: Session, chain_id: int) -> list[Address]:
    """Every account whose nonces on a chain belong to the outbox, ascending."""
    query = select(OutboxSender.sender).where(OutboxSender.chain_id == chain_id).order_by(OutboxSender.sender)
    return [Address(sender) for sender in session.execute(query).scalars()]


def next_nonce(session: Session, chain_id: int, sender: Address) -> int | None:
    """The nonce the account's next intent gets; None while the outbox is not open for it."""
    first = first_nonce(session, chain_id, sender)
    if first is None:
        return None
    last = session.execute(
        select(func.max(OutboxIntent.nonce)).where(OutboxIntent.chain_id == chain_id, OutboxIntent.sender == sender)
    ).scalar_one()
    return first if last is None else int(last) + 1


def open_sender(session: Session, chain_id: int, sender: Address, first_nonce: int) -> int:
    """Give the account's nonces to the outbox from `first_nonce` on; the first call decides and is returned."""
    found = session.get(OutboxSender, (chain_id, sender))
    if found is not None:
        return found.first_nonce
    session.add(OutboxSender(chain_id=chain_id, sender=sender, first_nonce=first_nonce))
    session.flush()
    return first_nonce


def enqueue(
    session: Session,
    *,
    key: str,
    chain_id: int,
    sender: Address,
    to: Address,
    calldata: bytes,
    value_wei: int = 0,
    at: Timestamp,
) -> OutboxEntry:
    """Plan one effect and give it the sender's next nonce; the same key and body returns what is there.

    Raises IntentConflictError for the same key with another body, SenderUnknownError before `open_sender`.
    """
    owner = session.execute(
        # the row lock keeps nonces gapless when two processes plan at once
        select(OutboxSender).where(OutboxSender.chain_id == chain_id, OutboxSender.sender == sender).with_for_update()
    ).scalar_one_or_none()
    if owner is None:
        raise SenderUnknownError(f"the outbox is not open for 0x{sender.hex()} on chain {chain_id}")
    existing = session.execute(select(OutboxIntent).where(OutboxIntent.key == key)).scalar_one_or_none()
    body = (chain_id, sender, to, value_wei, calldata)
    if existing is not None:
        stored = (existing.chain_id, existing.sender, existing.recipient, existing.value_wei, existing.calldata)
        if stored != body:
            raise IntentConflictError(f"outbox key {key} is already planned with another body")
        return entry(session, key)
    last = session.execute(
        select(func.max(OutboxIntent.nonce)).where(OutboxIntent.chain_id == chain_id, OutboxIntent.sender == sender)
    ).scalar_one()
    intent = OutboxIntent(
        key=key,
        chain_id=chain_id,
        sender=sender,
        nonce=owner.first_nonce if last is None else last + 1,
        recipient=to,
        value_wei=value_wei,
        calldata=calldata,
    )
    session.add(intent)
    session.flush()
    session.add(_event(intent.seq, 0, OutboxState.PLANNED, at))
    session.flush()
    return entry(session, key)


def withdraw(session: Session, key: str, reason: str, at: Timestamp) -> OutboxEntry:
    """A person's decision not to send: an empty transaction will use the nonce up, unless the first was faster."""
    found = entry(session, key)
    if found.state in {OutboxState.VOIDING, OutboxState.WITHDRAWN}:
        return found
    if found.state not in {OutboxState.PLANNED, OutboxState.SIGNED, OutboxState.BROADCAST}:
        raise RefusedError(f"outbox entry {key} is {found.state}; it is too late to withdraw it", hint="nothing to do")
    return record(session, found, OutboxState.VOIDING, at, detail=reason)


def abandon(session: Session, key: str, reason: str, at: Timestamp) -> OutboxEntry:
    """A person's word that a conflict was looked at: sending goes on after it. The effect has not happened."""
    found = entry(session, key)
    if found.state is OutboxState.ABANDONED:
        return found
    if found.state is not OutboxState.CONFLICTED:
        raise RefusedError(f"outbox entry {key} is {found.state}, not conflicted", hint="nothing to do")
    return record(session, found, OutboxState.ABANDONED, at, detail=reason)


def record(
    session: Session,
    found: OutboxEntry,
    state: OutboxState,
    at: Timestamp,
    *,
    tx_hash: Hash32 | None = None,
    block_number: int | None = None,
    block_hash: Hash32 | None = None,
    detail: str = "",
) -> OutboxEntry:
    """Add the next event. StaleStateError for a writer that has seen an older state: another one was faster."""
    # the intent's row lock lets one writer after the other count the events
    session.execute(select(OutboxIntent.seq).where(OutboxIntent.seq == found.seq).with_for_update())
    counted = select(func.count()).select_from(OutboxEvent).where(OutboxEvent.intent_seq == found.seq)
    if session.execute(counted).scalar_one() != found.events:
        raise StaleStateError(f"outbox entry {found.key} was moved by another process")
    session.add(
        _event(
            found.seq,
            found.events,
            state,
            at,
            tx_hash=tx_hash,
            block_number=block_number,
            block_hash=block_hash,
            detail=detail,
        )
    )
    session.flush()
    return entry(session, found.key)


def add_attempt(session: Session, found: OutboxEntry, attempt: Attempt) -> None:
    """Store the signed bytes, before anything is sent."""
    session.add(
        OutboxAttempt(
            intent_seq=found.seq,
            number=attempt.number,
            voids=attempt.voids,
            tx_hash=attempt.tx_hash,
            raw=attempt.raw,
            gas=attempt.gas,
            max_fee_per_gas_wei=attempt.max_fee_per_gas_wei,
            max_priority_fee_per_gas_wei=attempt.max_priority_fee_per_gas_wei,
            signed_at=attempt.signed_at,
        )
    )
    session.flush()


def attempts(session: Session, found: OutboxEntry) -> list[Attempt]:
    """All signed transactions of an entry, oldest first; each of them may still be mined."""
    rows = session.execute(
        select(OutboxAttempt).where(OutboxAttempt.intent_seq == found.seq).order_by(OutboxAttempt.number)
    ).scalars()
    return [
        Attempt(
            number=row.number,
            voids=row.voids,
            tx_hash=Hash32(row.tx_hash),
            raw=row.raw,
            gas=row.gas,
            max_fee_per_gas_wei=row.max_fee_per_gas_wei,
            max_priority_fee_per_gas_wei=row.max_priority_fee_per_gas_wei,
            signed_at=Timestamp(row.signed_at),
        )
        for row in rows
    ]


def find_entry(session: Session, key: str) -> OutboxEntry | None:
    """The entry of a key, or None."""
    found = _entries(session, OutboxIntent.key == key)
    return found[0] if found else None


def entry(session: Session, key: str) -> OutboxEntry:
    """The entry of a key. Raises RowMissingError."""
    found = find_entry(session, key)
    if found is None:
        raise RowMissingError(f"there is no outbox entry {key}")
    return found


def entries(session: Session, chain_id: int, sender: Address | None = None) -> list[OutboxEntry]:
    """All entries of a chain, or of one sender on it, by sender and nonce."""
    if sender is None:
        return _entries(session, OutboxIntent.chain_id == chain_id)
    return _entries(session, OutboxIntent.chain_id == chain_id, OutboxIntent.sender == sender)


def _entries(session: Session, *conditions: ColumnElement[bool]) -> list[OutboxEntry]:
    latest = (
        select(OutboxEvent.intent_seq, func.max(OutboxEvent.number).label("number"))
        .group_by(OutboxEvent.intent_seq)
        .subquery()
    )
    rows = session.execute(
        select(OutboxIntent, OutboxEvent)
        .join(latest, latest.c.intent_seq == OutboxIntent.seq)
        .join(
            OutboxEvent,
            (OutboxEvent.intent_seq == OutboxIntent.seq) & (OutboxEvent.number == latest.c.number),
        )
        .where(*conditions)
        .order_by(OutboxIntent.chain_id, OutboxIntent.sender, OutboxIntent.nonce)
    ).all()
    return [_entry(intent, event) for intent, event in rows]


def _entry(intent: OutboxIntent, event: OutboxEvent) -> OutboxEntry:
    try:
        state = OutboxState(event.state)
    except ValueError as error:
        raise InvariantError(f"outbox entry {intent.key} has the unknown state {event.state!r}") from error
    return OutboxEntry(
        seq=intent.seq,
        key=intent.key,
        chain_id=intent.chain_id,
        sender=Address(intent.sender),
        nonce=intent.nonce,
        recipient=Address(intent.recipient),
        value_wei=Wei(intent.value_wei),
        calldata=intent.calldata,
        state=state,
        tx_hash=Hash32(event.tx_hash) if event.tx_hash is not None else None,
        block_number=event.block_number,
        block_hash=Hash32(event.block_hash) if event.block_hash is not None else None,
        detail=event.detail,
        events=event.number + 1,
    )


def _event(
    intent_seq: int,
    number: int,
    state: OutboxState,
    at: Timestamp,
    *,
    tx_hash: Hash32 | None = None,
    block_number: int | None = None,
    block_hash: Hash32 | None = None,
    detail: str = "",
) -> OutboxEvent:
    return OutboxEvent(
        intent_seq=intent_seq,
        number=number,
        state=state.value,
        tx_hash=tx_hash,
        block_number=block_number,
        block_hash=block_hash,
        detail=detail,
        at=at,
    )
