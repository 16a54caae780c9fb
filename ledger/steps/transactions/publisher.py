"""Who sends for the ledger, and sending: everything planned goes out through the outbox, one nonce per key."""

from sqlalchemy.orm import Session

from ledger.chain.contracts.contract import Call
from ledger.chain.sending.outbox import PumpReport, open_outbox, pump
from ledger.chain.sending.signer import Signer
from ledger.db import epochs, outbox
from ledger.db.epochs import EpochStanding
from ledger.db.outbox_entry import OutboxEntry, OutboxState
from ledger.model.epoch import EpochState
from ledger.model.errors import RefusedError
from ledger.model.units import Timestamp
from ledger.steps.ledger import Ledger
from ledger.steps.settlement import Settlement


class NoPublisherError(RefusedError):
    """This ledger has no key that may propose and activate epochs."""

    code = "settle.no-publisher"
    default_hint = "set publisher_keystore and publisher_password_file in settings.toml"


def publisher_of(ledger: Ledger, settlement: Settlement) -> Signer:
    """The publisher's signer, with the outbox opened for its account. NoPublisherError where there is none."""
    if settlement.publisher is None:
        raise NoPublisherError("no publisher key is configured")
    open_outbox(ledger.database, settlement.connection, settlement.publisher.address)
    return settlement.publisher


def plan_transition(
    session: Session,
    settlement: Settlement,
    publisher: Signer,
    version: EpochStanding,
    state: EpochState,
    key: str,
    call: Call,
    at: Timestamp,
) -> OutboxEntry:
    """Plan a call with its nonce and move the epoch, in one transaction: neither is there without the other."""
    entry = outbox.enqueue(
        session,
        key=key,
        chain_id=settlement.connection.chain_id,
        sender=publisher.address,
        to=call.to,
        calldata=call.calldata,
        at=at,
    )
    facts = {"outboxKey": entry.key, "nonce": entry.nonce}
    epochs.record_transition(session, version, state, facts=facts, recorded_at=at)
    return entry


def drop_planned(session: Session, entry: OutboxEntry | None, reason: str, at: Timestamp) -> bool:
    """Withdraw a planned call that is needless now; its nonce is used up by an empty transaction. Whether it was.

    One that was broadcast is left: it is mined, refused by the contract, and done.
    """
    if entry is None or entry.state not in {OutboxState.PLANNED, OutboxState.SIGNED}:
        return False
    outbox.withdraw(session, entry.key, reason, at)
    return True


def send_planned(ledger: Ledger) -> PumpReport | None:
    """Advance every planned transaction as far as it can go now; None where this ledger only follows."""
    settlement = ledger.settlement()
    if settlement.publisher is None:
        return None
    return pump(
        ledger.database,
        settlement.connection,
        publisher_of(ledger, settlement),
        ledger.clock,
        settlement.finality,
        fees=settlement.fees,
        code_hashes=settlement.deployment.callable_code,
    )
