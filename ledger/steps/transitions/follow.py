"""What the chain did, into the books: activations, claims and retirements, each once, when they are final.

Every event has a business key, so booking it twice changes nothing and a crash between two events costs nothing.
"""

from sqlalchemy.orm import Session

from ledger.books.log_entries import ChainPoint, activation_entry, claim_entry, retirement_entry
from ledger.chain.contracts.logs import ChainEvent
from ledger.chain.following.follower import final_events, sync
from ledger.db import epochs, items, journal
from ledger.db.faultpoint import faultpoint
from ledger.model.epoch import EpochState
from ledger.model.errors import InvariantError
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Wei, to_hex
from ledger.rules.statements import operator_totals
from ledger.steps.correcting.book import book_correction
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.steps.recorded.statements import statements_of
from ledger.steps.transactions.publisher import drop_planned
from ledger.steps.transitions.activate import planned_activation
from ledger.steps.transitions.halt import halt
from ledger.steps.transitions.revoked import take_back
from ledger.steps.transitions.transition import Moved
from ledger.steps.transitions.vanished import BlockVanishedError, read_from, require_standing, under_free_key
from ledger.tree.commitments import header_hash

MICROGRAMS_PER_GRAM = 10**6


def follow(ledger: Ledger) -> list[Moved]:
    """Take in what became final and book it; the epochs that became FINAL by it.

    Raises BlockVanishedError, having halted the first epoch that is not final, while the books hold facts of blocks
    that left the chain; and what `sync` raises.
    """
    settlement = ledger.settlement()
    contracts = settlement.deployment.followed
    chain_id = settlement.connection.chain_id
    sync(ledger.database, settlement.connection, contracts, settlement.finality)
    try:
        with ledger.database.reading() as session:
            require_standing(session, chain_id)
            above = read_from(session, chain_id)
    except BlockVanishedError as gone:
        with ledger.database.transaction() as session:
            epoch = epochs.open_epoch(session, epochs.first_unfinished(session), recorded_at=ledger.clock.now()).epoch
        halt(ledger, epoch, str(gone))
        raise
    moved: list[Moved] = []
    for event in final_events(ledger.database, chain_id, contracts, above=above):
        with ledger.database.transaction() as session:
            if _is_ahead(session, event):
                break
            done = _book(ledger, session, event)
            faultpoint("follow.before_commit")
        faultpoint("follow.after_commit")
        moved += [done] if done else []
    return moved


def _is_ahead(session: Session, event: ChainEvent) -> bool:
    """Whether the event is about a header these books have not sealed yet: they compute later, or were restored.

    It waits, and with it all that came after it, so that the books keep the order of the chain.
    """
    if event.name not in {"EpochActivated", "EpochRevoked"}:
        return False
    epoch = EpochNumber(event.arguments["epoch"])
    match epochs.state_of(session, epoch):
        case EpochState.OPEN | EpochState.FROZEN | EpochState.COMPUTED:
            return True
        case EpochState.SEALED:
            # a revoked header of ours that these books have not proposed; a stranger's leaves nothing to reverse
            ours = event.arguments["header_hash"] == header_hash(header_of(session, epoch))
            return event.name == "EpochRevoked" and ours
        case _:
            return False


def _book(ledger: Ledger, session: Session, event: ChainEvent) -> Moved | None:
    match event.name:
        case "EpochActivated":
            return _activated(ledger, session, event)
        case "EpochRevoked":
            return take_back(ledger, session, EpochNumber(event.arguments["epoch"]), event)
        case "RootSuperseded":
            book_correction(ledger, session, event)
        case "Claimed":
            _claimed(ledger, session, event)
        case "CarbonRetired":
            _retired(ledger, session, event)
    return None


def _activated(ledger: Ledger, session: Session, event: ChainEvent) -> Moved | None:
    epoch = EpochNumber(event.arguments["epoch"])
    version = epochs.lock_epoch(session, epoch)  # before looking: another process may be booking the same event
    if version.state is EpochState.FINAL:
        return None
    header = header_of(session, epoch)
    if event.arguments["header_hash"] != header_hash(header):
        found = to_hex(event.arguments["header_hash"])
        raise InvariantError(
            f"epoch {epoch}: the chain activated header {found}, ours is {to_hex(header_hash(header))}"
        )
    now = ledger.clock.now()
    statements = statements_of(ledger.artefacts, session, epoch, version.attempt)
    posting = activation_entry(
        epoch=epoch,
        attempt=version.attempt,
        payouts={total.operator: total.pay_wei for total in operator_totals(statements)},
        carbon_wei=header.carbon,
        reserve_wei=header.reserve,
        header_hash=header_hash(header),
        at=_point(event),
    )
    entry = journal.append(session, under_free_key(session, posting), recorded_at=now)
    facts = {
        "block": event.block_number,
        "transaction": to_hex(event.tx_hash),
        "entryHash": to_hex(entry.hash),
        "lastRefusal": items.last_refusal(session),  # what comes later changes no answer about a final epoch
    }
    epochs.record_transition(session, version, EpochState.FINAL, facts=facts, recorded_at=now)
    needless = planned_activation(session, epoch, version.attempt)
    drop_planned(session, needless, f"activated by {to_hex(event.tx_hash)}", now)
    return Moved(epoch=epoch, state=EpochState.FINAL, what=f"activated in block {event.block_number}")


def _claimed(ledger: Ledger, session: Session, event: ChainEvent) -> None:
    values = event.arguments
    posting = claim_entry(
        account=Address(values["account"]),
        payee=Address(values["payee"]),
        amount_wei=Wei(values["amount"]),
        cumulative_wei=Wei(values["cumulative"]),
        at=_point(event),
    )
    journal.append(session, under_free_key(session, posting), recorded_at=ledger.clock.now())


def _retired(ledger: Ledger, session: Session, event: ChainEvent) -> None:
    values = event.arguments
    posting = retirement_entry(
        retired_ug=MicrogramsCo2e(values["grams"] * MICROGRAMS_PER_GRAM),
        payment_wei=Wei(values["payment"]),
        supplier=Address(values["supplier"]),
        certificate_hash=Hash32(values["certificate_hash"]),
        uri=str(values["uri"]),
        at=_point(event),
    )
    journal.append(session, under_free_key(session, posting), recorded_at=ledger.clock.now())


def _point(event: ChainEvent) -> ChainPoint:
    return ChainPoint(
        chain_id=event.chain_id,
        block=event.block_number,
        block_hash=event.block_hash,
        block_time=event.block_timestamp,
        transaction=event.tx_hash,
        log=event.log_index,
    )
