"""The outbox's rows: intents with their nonces, signed attempts, events; the state is the last event.

Knows nothing of a chain. Every function works inside the caller's transaction, so that an intent is
written together with the step that wants it.
"""

from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, func, insert, select
from sqlalchemy.orm import Session

from ledger.db.epochs import StaleStateError
from ledger.db.errors import AlreadyDifferentError, RowMissingError
from ledger.db.outbox_entry import Attempt, OutboxEntry, OutboxState
from ledger.db.schema import table_of
from ledger.db.serial import one_at_a_time
from ledger.db.tables.settlement import OutboxAttempt, OutboxEvent, OutboxIntent, OutboxSender
from ledger.model.errors import EnvironmentFailure, InvariantError, RefusedError
from ledger.model.units import Address, Hash32, Timestamp, Wei

_SENDERS: Final = table_of(OutboxSender)
_INTENTS: Final = table_of(OutboxIntent)
_ATTEMPTS: Final = table_of(OutboxAttempt)
_EVENTS: Final = table_of(OutboxEvent)

# statements are built once: a look at the outbox runs each of them several times
_OWNER: Final = select(_SENDERS.c.first_nonce).where(
    _SENDERS.c.chain_id == bindparam("chain_id"), _SENDERS.c.sender == bindparam("sender")
)
_OWNER_LOCKED: Final = _OWNER.with_for_update()
_LAST_NONCE: Final = select(func.max(_INTENTS.c.nonce)).where(
    _INTENTS.c.chain_id == bindparam("chain_id"), _INTENTS.c.sender == bindparam("sender")
)
_LOCK: Final = select(_INTENTS.c.seq).where(_INTENTS.c.seq == bindparam("seq")).with_for_update()
_COUNT_EVENTS: Final = select(func.count()).select_from(_EVENTS).where(_EVENTS.c.intent_seq == bindparam("seq"))
_ATTEMPTS_OF: Final = (
    select(*(each for each in _ATTEMPTS.c if each.name not in {"seq", "intent_seq"}))
    .where(_ATTEMPTS.c.intent_seq == bindparam("seq"))
    .order_by(_ATTEMPTS.c.number)
)
_LAST_DETAIL: Final = (
    select(_EVENTS.c.detail)
    .where(_EVENTS.c.intent_seq == bindparam("seq"), _EVENTS.c.state == bindparam("state"))
    .order_by(_EVENTS.c.number.desc())
    .limit(1)
)
_NUMBERS: Final = _EVENTS.alias("numbers")
_ENTRIES: Final[Select[Any]] = (
    select(
        *_INTENTS.c,
        _EVENTS.c.number,
        _EVENTS.c.state,
        _EVENTS.c.tx_hash,
        _EVENTS.c.block_number,
        _EVENTS.c.block_hash,
        _EVENTS.c.detail,
    )
    .join(_EVENTS, _EVENTS.c.intent_seq == _INTENTS.c.seq)
    .where(
        _EVENTS.c.number
        == select(func.max(_NUMBERS.c.number)).where(_NUMBERS.c.intent_seq == _INTENTS.c.seq).scalar_subquery()
    )
    .order_by(_INTENTS.c.chain_id, _INTENTS.c.sender, _INTENTS.c.nonce)
)
_ENTRY_OF_KEY: Final[Select[Any]] = _ENTRIES.where(_INTENTS.c.key == bindparam("key"))
_ENTRIES_OF_CHAIN: Final[Select[Any]] = _ENTRIES.where(_INTENTS.c.chain_id == bindparam("chain_id"))
_ENTRIES_OF_SENDER: Final[Select[Any]] = _ENTRIES_OF_CHAIN.where(_INTENTS.c.sender == bindparam("sender"))


class IntentConflictError(AlreadyDifferentError):
    """The same outbox key was asked for with another body."""

    code = "settle.conflict"
    default_hint = "the step and the outbox disagree about one effect; ath-ledger doctor"


class SenderUnknownError(EnvironmentFailure):
    """The outbox has not been opened for this sender."""

    code = "settle.sender-unknown"
    retryable = False


def first_nonce(session: Session, chain_id: int, sender: Address) -> int | None:
    """From which nonce on the account belongs to the outbox; None when it does not."""
    found: int | None = session.execute(_OWNER, {"chain_id": chain_id, "sender": sender}).scalar_one_or_none()
    return found


def senders(session: Session, chain_id: int) -> list[Address]:
    """Every account whose nonces on a chain belong to the outbox, ascending."""
    query = select(_SENDERS.c.sender).where(_SENDERS.c.chain_id == chain_id).order_by(_SENDERS.c.sender)
    return [Address(sender) for sender in session.execute(query).scalars()]


def next_nonce(session: Session, chain_id: int, sender: Address) -> int | None:
    """The nonce the account's next intent gets; None while the outbox is not open for it."""
    first = first_nonce(session, chain_id, sender)
    if first is None:
        return None
    last = session.execute(_LAST_NONCE, {"chain_id": chain_id, "sender": sender}).scalar_one()
    return first if last is None else int(last) + 1


def open_sender(session: Session, chain_id: int, sender: Address, first_nonce: int) -> int:
    """Give the account's nonces to the outbox from `first_nonce` on; the first call decides and is returned."""
    one_at_a_time(session, "outbox_senders")
    row = {"chain_id": chain_id, "sender": sender}
    found: int | None = session.execute(_OWNER, row).scalar_one_or_none()
    if found is not None:
        return found
    session.execute(insert(_SENDERS), row | {"first_nonce": first_nonce})
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
    # the row lock keeps nonces gapless when two processes plan at once
    first = session.execute(_OWNER_LOCKED, {"chain_id": chain_id, "sender": sender}).scalar_one_or_none()
    if first is None:
        raise SenderUnknownError(f"the outbox is not open for 0x{sender.hex()} on chain {chain_id}")
    existing = find_entry(session, key)
    if existing is not None:
        stored = (existing.chain_id, existing.sender, existing.recipient, existing.value_wei, existing.calldata)
        if stored != (chain_id, sender, to, value_wei, calldata):
            raise IntentConflictError(f"outbox key {key} is already planned with another body")
        return existing
    last = session.execute(_LAST_NONCE, {"chain_id": chain_id, "sender": sender}).scalar_one()
    seq = session.execute(
        insert(_INTENTS).returning(_INTENTS.c.seq),
        {
            "key": key,
            "chain_id": chain_id,
            "sender": sender,
            "nonce": first if last is None else last + 1,
            "recipient": to,
            "value_wei": value_wei,
            "calldata": calldata,
        },
    ).scalar_one()
    _add_event(session, seq, 0, OutboxState.PLANNED, at)
    return entry(session, key)


def withdraw(session: Session, key: str, reason: str, at: Timestamp) -> OutboxEntry:
    """A person's decision not to send: an empty transaction will use the nonce up, unless the first was faster."""
    found = entry(session, key)
    if found.state in {OutboxState.VOIDING, OutboxState.WITHDRAWN}:
        return found
    if found.state not in {OutboxState.PLANNED, OutboxState.SIGNED, OutboxState.BROADCAST}:
        raise RefusedError(f"outbox entry {key} is {found.state}; it is too late to withdraw it", hint="nothing to do")
    return record(session, found, OutboxState.VOIDING, at, detail=reason)


def why_withdrawn(session: Session, found: OutboxEntry) -> str:
    """The reason that was given when an entry was last withdrawn; empty when it never was."""
    asked = {"seq": found.seq, "state": OutboxState.VOIDING}
    reason: str | None = session.execute(_LAST_DETAIL, asked).scalar_one_or_none()
    return reason or ""


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
    session.execute(_LOCK, {"seq": found.seq})
    if session.execute(_COUNT_EVENTS, {"seq": found.seq}).scalar_one() != found.events:
        raise StaleStateError(f"outbox entry {found.key} was moved by another process")
    _add_event(
        session,
        found.seq,
        found.events,
        state,
        at,
        tx_hash=tx_hash,
        block_number=block_number,
        block_hash=block_hash,
        detail=detail,
    )
    return entry(session, found.key)


def add_attempt(session: Session, found: OutboxEntry, attempt: Attempt) -> None:
    """Store the signed bytes, before anything is sent."""
    session.execute(
        insert(_ATTEMPTS),
        {
            "intent_seq": found.seq,
            "number": attempt.number,
            "voids": attempt.voids,
            "tx_hash": attempt.tx_hash,
            "raw": attempt.raw,
            "gas": attempt.gas,
            "max_fee_per_gas_wei": attempt.max_fee_per_gas_wei,
            "max_priority_fee_per_gas_wei": attempt.max_priority_fee_per_gas_wei,
            "signed_at": attempt.signed_at,
        },
    )


def attempts(session: Session, found: OutboxEntry) -> list[Attempt]:
    """All signed transactions of an entry, oldest first; each of them may still be mined."""
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
        for row in session.execute(_ATTEMPTS_OF, {"seq": found.seq})
    ]


def find_entry(session: Session, key: str) -> OutboxEntry | None:
    """The entry of a key, or None."""
    row = session.execute(_ENTRY_OF_KEY, {"key": key}).one_or_none()
    return None if row is None else _entry(row)


def entry(session: Session, key: str) -> OutboxEntry:
    """The entry of a key. Raises RowMissingError."""
    found = find_entry(session, key)
    if found is None:
        raise RowMissingError(f"there is no outbox entry {key}")
    return found


def entries(session: Session, chain_id: int, sender: Address | None = None) -> list[OutboxEntry]:
    """All entries of a chain, or of one sender on it, by sender and nonce."""
    if sender is None:
        rows = session.execute(_ENTRIES_OF_CHAIN, {"chain_id": chain_id})
    else:
        rows = session.execute(_ENTRIES_OF_SENDER, {"chain_id": chain_id, "sender": sender})
    return [_entry(row) for row in rows]


def _entry(row: Row[Any]) -> OutboxEntry:
    try:
        state = OutboxState(row.state)
    except ValueError as error:
        raise InvariantError(f"outbox entry {row.key} has the unknown state {row.state!r}") from error
    return OutboxEntry(
        seq=row.seq,
        key=row.key,
        chain_id=row.chain_id,
        sender=Address(row.sender),
        nonce=row.nonce,
        recipient=Address(row.recipient),
        value_wei=Wei(row.value_wei),
        calldata=row.calldata,
        state=state,
        tx_hash=Hash32(row.tx_hash) if row.tx_hash is not None else None,
        block_number=row.block_number,
        block_hash=Hash32(row.block_hash) if row.block_hash is not None else None,
        detail=row.detail,
        events=row.number + 1,
    )


def _add_event(
    session: Session,
    intent_seq: int,
    number: int,
    state: OutboxState,
    at: Timestamp,
    *,
    tx_hash: Hash32 | None = None,
    block_number: int | None = None,
    block_hash: Hash32 | None = None,
    detail: str = "",
) -> None:
    session.execute(
        insert(_EVENTS),
        {
            "intent_seq": intent_seq,
            "number": number,
            "state": state.value,
            "tx_hash": tx_hash,
            "block_number": block_number,
            "block_hash": block_hash,
            "detail": detail,
            "at": at,
        },
    )
