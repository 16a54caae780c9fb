"""Catching up: books that were restored from a backup follow the chain until they are level again. Nothing is sent.

Each epoch the chain has is computed anew from the evidence it was computed from, and sealed only as a header the chain
has for it. What was sent after the backup is taken from the chain; its nonces are never used again.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from sqlalchemy.orm import Session

from ledger.audit.bundle.content import EpochBundle
from ledger.chain.contracts.contract import Call
from ledger.chain.contracts.logs import ChainEvent
from ledger.chain.following.follower import final_events
from ledger.chain.node.connection import Block
from ledger.db import epochs, outbox
from ledger.db import policies as policy_rows
from ledger.db.faultpoint import faultpoint
from ledger.db.outbox_entry import OPEN_STATES, OutboxEntry, OutboxState
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError, RefusedError
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp, to_hex
from ledger.steps.drive import next_epoch, state_of
from ledger.steps.intake.collect import submit_item
from ledger.steps.intake.inbox import judge_waiting
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.settlement import Settlement
from ledger.steps.transitions.compute import compute
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.freeze import fix
from ledger.steps.transitions.lag import lag
from ledger.steps.transitions.propose import proposal_key
from ledger.steps.transitions.seal import seal
from ledger.steps.transitions.transition import Moved, StepResult, Waiting
from ledger.tree.commitments import header_hash

Bundles = Mapping[EpochNumber, EpochBundle]
LOST: Final = "sent after the backup these books were restored from"


class EvidenceMissingError(RefusedError):
    """The books cannot know whether they have all the evidence of an epoch that is over."""

    code = "books.evidence-missing"
    default_hint = "ath-ledger db catch-up --bundle FILE, with the epoch's bundle"


class OtherEvidenceError(MismatchError):
    """What is here is not what the epoch on chain was computed from."""

    code = "books.other-evidence"
    default_hint = "restore the backup into a new place and catch up with the epoch's bundle"


def catch_up(ledger: Ledger, bundles: Bundles, *, evidence_is_complete: bool = False) -> Iterator[StepResult]:
    """Follow, rebuild, follow, until the chain's final blocks are all in the books; every transition.

    An epoch that was not frozen in the backup needs its bundle, unless the caller vouches that all its evidence is
    here. Safe to stop and to repeat. Raises EvidenceMissingError, OtherEvidenceError, and what following raises.
    """
    while True:
        _give_up_lost(ledger)
        yield from follow(ledger)
        epoch = next_epoch(ledger)
        headers = _final_headers(ledger).get(epoch, ())
        moved = (
            _advance(ledger, epoch, headers, bundles, evidence_is_complete=evidence_is_complete) if headers else None
        )
        if moved is None:
            break
        yield moved
    _take_nonces(ledger)
    left = lag(ledger)
    if left is not None:
        epoch = next_epoch(ledger)
        yield Waiting(epoch=epoch, state=state_of(ledger, epoch), why=f"not final yet: {left}")


def _advance(
    ledger: Ledger,
    epoch: EpochNumber,
    headers: Collection[Hash32],
    bundles: Bundles,
    *,
    evidence_is_complete: bool,
) -> StepResult | None:
    """One transition towards the header the chain has; None when the epoch is where the chain has it."""
    match state_of(ledger, epoch):
        case EpochState.OPEN:
            bundle = bundles.get(epoch)
            if bundle is not None:
                _take_evidence(ledger, bundle, headers)
            elif not evidence_is_complete:
                raise EvidenceMissingError(
                    f"the chain has epoch {epoch}, and its evidence may have come after the backup"
                )
            judge_waiting(ledger, until=ledger.calendar.cut_off(epoch))
            return fix(ledger, epoch)
        case EpochState.FROZEN:
            return compute(ledger, epoch)
        case EpochState.COMPUTED:
            try:
                return seal(ledger, epoch, only=headers)
            except MismatchError as error:
                raise OtherEvidenceError(f"epoch {epoch}: {error.what}") from error
        case EpochState.SEALED:
            return _adopt(ledger, epoch, headers)
        case EpochState.PROPOSED if _proposal_is_lost(ledger, epoch):
            return _adopt(ledger, epoch, headers)
        case _:
            return None


def _take_evidence(ledger: Ledger, bundle: EpochBundle, headers: Collection[Hash32]) -> None:
    """Admit what the bundle holds and the index does not, as of the last second it could have come."""
    header, frozen = bundle.record.header, bundle.record.evidence
    if header_hash(header) not in headers:
        raise OtherEvidenceError(
            f"the bundle of epoch {header.epoch} is of header {to_hex(header_hash(header))}, which is not on chain",
            hint="give the bundle of the epoch that is on chain",
        )
    with ledger.database.transaction() as session:
        policy_rows.record_tables(session, frozen.tables, recorded_at=ledger.clock.now())
    start, cut_off = ledger.calendar.start(header.epoch), ledger.calendar.cut_off(header.epoch)
    received = [(item, Timestamp(start - 1)) for item in frozen.registrations]
    received += [(item, cut_off) for item in (*frozen.batches, *frozen.revocations)]  # type: ignore[misc]
    for item, at in received:
        receipt = submit_item(ledger, item, now=at)
        if not receipt.is_admitted:
            raise OtherEvidenceError(f"the bundle's {receipt.kind} is refused here: {receipt.code}: {receipt.detail}")


def _adopt(ledger: Ledger, epoch: EpochNumber, headers: Collection[Hash32]) -> StepResult:
    """Take the proposal on chain for ours: it has our header. Its nonce is noted as used."""
    now, settlement = ledger.clock.now(), ledger.settlement()
    final = settlement.connection.final_block(settlement.finality)
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch)
        ours = header_hash(header_of(session, epoch))
        if ours not in headers:
            raise OtherEvidenceError(f"epoch {epoch}: sealed as {to_hex(ours)}, the chain has {_shown(headers)}")
        call = settlement.rewards_ledger.propose_epoch(header_of(session, epoch))
        key = proposal_key(epoch, version.attempt)
        facts = {"adopted": to_hex(ours), **_lost_proposal(session, settlement, final, key, call, now)}
        epochs.record_transition(session, version, EpochState.PROPOSED, facts=facts, recorded_at=now)
        faultpoint("adopt.before_commit")
    faultpoint("adopt.after_commit")
    return Moved(epoch=epoch, state=EpochState.PROPOSED, what="the chain has its header; taken for our proposal")


def _lost_proposal(
    session: Session, settlement: Settlement, final: Block | None, key: str, call: Call, now: Timestamp
) -> dict[str, object]:
    """The proposal's outbox key and nonce, noted as lost; nothing where no nonce of the publisher's was lost."""
    entry = outbox.find_entry(session, key)
    if entry is None and settlement.publisher is not None and final is not None:
        connection, sender = settlement.connection, settlement.publisher.address
        ours = outbox.next_nonce(session, connection.chain_id, sender)
        if ours is not None and ours < connection.nonce(sender, final.hash):
            entry = outbox.enqueue(
                session, key=key, chain_id=connection.chain_id, sender=sender, to=call.to, calldata=call.calldata,
                at=now,
            )  # fmt: skip
            outbox.record(session, entry, OutboxState.ABANDONED, now, detail=LOST)
    return {} if entry is None else {"outboxKey": entry.key, "nonce": entry.nonce}


def _proposal_is_lost(ledger: Ledger, epoch: EpochNumber) -> bool:
    with ledger.database.reading() as session:
        attempt = epochs.current(session, epoch).attempt
        entry = outbox.find_entry(session, proposal_key(epoch, attempt))
        adopted = "adopted" in epochs.facts(session, epoch, EpochState.PROPOSED)
    return not adopted and entry is not None and entry.state is OutboxState.ABANDONED


def _final_headers(ledger: Ledger) -> Mapping[EpochNumber, Collection[Hash32]]:
    """Every header the chain's final blocks propose, by epoch: a revoked one was sealed as well."""
    found: dict[EpochNumber, list[Hash32]] = {}
    for event in _events(ledger):
        if event.name == "EpochProposed":
            found.setdefault(EpochNumber(event.arguments["epoch"]), []).append(Hash32(event.arguments["header_hash"]))
    return found


def _events(ledger: Ledger) -> list[ChainEvent]:
    settlement = ledger.settlement()
    followed = settlement.deployment.followed
    return final_events(ledger.database, settlement.connection.chain_id, followed, above=followed.first_block - 1)


def _give_up_lost(ledger: Ledger) -> None:
    """Abandon what is open here while the chain has used its nonce for a transaction that these books do not have."""
    connection, now = ledger.settlement().connection, ledger.clock.now()
    final = connection.final_block(ledger.settlement().finality)
    if final is None:
        return
    with ledger.database.reading() as session:
        entries = [(each, outbox.attempts(session, each)) for each in outbox.entries(session, connection.chain_id)]
    gone: list[OutboxEntry] = []
    for entry, attempts in entries:
        is_open = entry.state in OPEN_STATES or entry.state is OutboxState.CONFLICTED
        if is_open and entry.nonce < connection.nonce(entry.sender, final.hash):
            receipts = connection.receipts([attempt.tx_hash for attempt in attempts])
            gone += [entry] if all(receipt is None for receipt in receipts) else []
    with ledger.database.transaction() as session:
        for entry in gone:
            outbox.record(session, entry, OutboxState.ABANDONED, now, detail=LOST)


def _take_nonces(ledger: Ledger) -> None:
    """Note every nonce that final blocks have used and the outbox never gave out, so that none is given out again."""
    settlement, now = ledger.settlement(), ledger.clock.now()
    connection, contract = settlement.connection, settlement.rewards_ledger.address
    final = connection.final_block(settlement.finality)
    if final is None:
        return
    with ledger.database.reading() as session:
        senders = outbox.senders(session, connection.chain_id)
    for sender in senders:
        used = connection.nonce(sender, final.hash)
        with ledger.database.transaction() as session:
            _note_used(session, connection.chain_id, sender, contract, used, now)
            faultpoint("nonces.before_commit")
        faultpoint("nonces.after_commit")


def _note_used(session: Session, chain_id: int, account: Address, contract: Address, used: int, now: Timestamp) -> None:
    while (ours := outbox.next_nonce(session, chain_id, account)) is not None and ours < used:
        entry = outbox.enqueue(
            session, key=f"lost/{to_hex(account)}/{ours}", chain_id=chain_id, sender=account, to=contract, calldata=b"",
            at=now,
        )  # fmt: skip
        outbox.record(session, entry, OutboxState.ABANDONED, now, detail=LOST)


def _shown(headers: Collection[Hash32]) -> str:
    return ", ".join(to_hex(each) for each in headers)
