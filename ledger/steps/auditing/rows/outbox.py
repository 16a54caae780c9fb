"""The outbox: nonces without gaps, and signed bytes that say themselves what they do and who signed them."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference, shown
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.sending.raw_transaction import RawTransactionError, read_transaction
from ledger.db.outbox_entry import OutboxState
from ledger.db.tables.settlement import ChainBlock, OutboxAttempt, OutboxEvent, OutboxIntent, OutboxSender
from ledger.model.units import to_hex
from ledger.steps.auditing.rows.faults import absent, foreign, gaps, unequal

_MINED: Final = frozenset({OutboxState.MINED, OutboxState.FINAL, OutboxState.REVERTED, OutboxState.WITHDRAWN})
"""States that speak of a block."""


def intent_faults(session: Session, deployment: Deployment) -> Iterator[Difference]:
    """`outbox_senders`, `outbox_intents`, `outbox_attempts`."""
    senders = {bytes(row.sender): row for row in session.execute(select(OutboxSender)).scalars()}
    intents = {row.seq: row for row in session.execute(select(OutboxIntent).order_by(OutboxIntent.seq)).scalars()}
    for address, sender in sorted(senders.items()):
        name = f"outbox_senders, {to_hex(address)}"
        yield from unequal(name, {"chain_id": deployment.chain_id}, sender)
        nonces = [each.nonce for each in intents.values() if bytes(each.sender) == address]
        yield from gaps("outbox_intents", f"nonce of {to_hex(address)}", nonces, sender.first_nonce)
    for intent in intents.values():
        name = f"outbox_intents, seq {intent.seq}"
        yield from unequal(name, {"chain_id": deployment.chain_id}, intent)
        if bytes(intent.sender) not in senders:
            yield absent(f"outbox_senders, {to_hex(intent.sender)}")
        if intent.recipient not in deployment.callable_code:
            yield Difference(where=f"{name} · recipient", expected="a contract of ours", found=to_hex(intent.recipient))
    attempts = list(session.execute(select(OutboxAttempt).order_by(OutboxAttempt.seq)).scalars())
    for seq in sorted({row.intent_seq for row in attempts}):
        yield from gaps(
            "outbox_attempts", f"number, intent {seq}", [r.number for r in attempts if r.intent_seq == seq], 0
        )
    for row in attempts:
        yield from _attempt_faults(row, intents.get(row.intent_seq))


def event_faults(session: Session) -> Iterator[Difference]:
    """`outbox_events`: from the plan on without gaps, about transactions that were signed and blocks that were seen."""
    intents = {row.seq: row for row in session.execute(select(OutboxIntent)).scalars()}
    attempts: dict[int, set[bytes]] = {}
    for attempt in session.execute(select(OutboxAttempt)).scalars():
        attempts.setdefault(attempt.intent_seq, set()).add(bytes(attempt.tx_hash))
    blocks = {bytes(row.hash): row.number for row in session.execute(select(ChainBlock)).scalars()}
    events: dict[int, list[OutboxEvent]] = {}
    for row in session.execute(select(OutboxEvent).order_by(OutboxEvent.seq)).scalars():
        events.setdefault(row.intent_seq, []).append(row)
    for seq in sorted(intents.keys() | events.keys()):
        rows = events.get(seq, [])
        if seq not in intents:
            yield absent(f"outbox_intents, seq {seq}")
            continue
        if not rows:
            yield absent(f"outbox_events, intent {seq}")
            continue
        yield from gaps("outbox_events", f"number, intent {seq}", [row.number for row in rows], 0)
        signed = attempts.get(seq, set())
        mined: OutboxEvent | None = None
        for row in rows:
            yield from _event_faults(row, signed, blocks)
            if row.state == OutboxState.MINED:
                mined = row
            elif row.state in _MINED and mined is not None:
                seen = {"tx_hash": mined.tx_hash, "block_number": mined.block_number, "block_hash": mined.block_hash}
                yield from unequal(f"outbox_events, seq {row.seq}", seen, row)
        states = [row.state for row in rows]
        if states[0] != OutboxState.PLANNED or OutboxState.PLANNED in states[1:]:
            where = f"outbox_events, intent {seq} · state"
            yield Difference(where=where, expected="planned, once, first", found=", ".join(states))
        if signed and OutboxState.SIGNED not in states and OutboxState.VOIDING not in states:
            yield absent(f"outbox_events, intent {seq}, when it was signed")


def _attempt_faults(row: OutboxAttempt, intent: OutboxIntent | None) -> Iterator[Difference]:
    name = f"outbox_attempts, seq {row.seq}"
    if intent is None:
        yield foreign(name, "an attempt at nothing")
        return
    try:
        sent = read_transaction(bytes(row.raw))
    except RawTransactionError as error:
        yield Difference(where=f"{name} · raw", expected="a signed transaction", found=error.what)
        return
    said = {
        "tx_hash": sent.tx_hash, "gas": sent.gas, "max_fee_per_gas_wei": sent.max_fee_per_gas_wei,
        "max_priority_fee_per_gas_wei": sent.max_priority_fee_per_gas_wei,
        "voids": sent.to == intent.sender and not sent.calldata and not sent.value_wei,
    }  # fmt: skip
    yield from unequal(name, said, row)
    meant = {"sender": sent.sender, "chain_id": sent.chain_id, "nonce": sent.nonce}
    if not said["voids"]:
        meant |= {"recipient": sent.to, "value_wei": sent.value_wei, "calldata": sent.calldata}
    yield from unequal(f"outbox_intents, seq {intent.seq}", meant, intent)


def _event_faults(row: OutboxEvent, signed: set[bytes], blocks: dict[bytes, int]) -> Iterator[Difference]:
    name = f"outbox_events, seq {row.seq}"
    if row.state not in set(OutboxState):
        yield Difference(where=f"{name} · state", expected="a state", found=shown(row.state))
    if row.tx_hash is not None and bytes(row.tx_hash) not in signed and row.state != OutboxState.CONFLICTED:
        where = f"{name} · tx_hash"
        yield Difference(where=where, expected="one of the intent's transactions", found=to_hex(row.tx_hash))
    if (row.state in _MINED) is not (row.block_hash is not None) and row.state != OutboxState.WITHDRAWN:
        where = f"{name} · block_hash"
        yield Difference(where=where, expected="a block where it was mined, nowhere else", found=shown(row.block_hash))
    if (row.block_hash is None) is not (row.block_number is None):
        yield Difference(where=f"{name} · block_number", expected="with its hash", found=shown(row.block_number))
    number = None if row.block_hash is None else blocks.get(bytes(row.block_hash))
    if number is not None:  # a block without events of ours is not always followed
        yield from unequal(name, {"block_number": number}, row)
