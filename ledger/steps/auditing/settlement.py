"""Where the chain has an epoch's proposal and activation: out of the followed logs, once both are final."""

from sqlalchemy.orm import Session

from ledger.audit.bundle.content import SETTLEMENT_EVENTS, Settled, SettledAt
from ledger.chain.contracts.logs import ChainEvent
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.following.follower import final_events
from ledger.db import epochs
from ledger.model.epoch import EpochState
from ledger.model.errors import MismatchError
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import header_of
from ledger.tree.commitments import header_hash


class SettlementMissingError(MismatchError):
    """An epoch is final, and the followed logs do not have what made it so."""

    code = "verify.settlement-missing"
    default_hint = "ath-ledger db check; the logs are followed again from the chain: ath-ledger run"


def settled_at(ledger: Ledger, session: Session, epoch: EpochNumber, deployment: Deployment) -> Settled:
    """The events that carry the epoch's own header; nothing of an epoch that is not FINAL, whoever asks when.

    Raises SettlementMissingError.
    """
    if epochs.state_of(session, epoch) is not EpochState.FINAL:
        return dict.fromkeys(SETTLEMENT_EVENTS)
    header = header_hash(header_of(session, epoch))
    followed = final_events(ledger.database, deployment.chain_id, deployment.followed, above=deployment.first_block - 1)
    found: dict[str, SettledAt | None] = {}
    for name, event_name in SETTLEMENT_EVENTS.items():
        events = [e for e in followed if e.name == event_name and e.arguments["header_hash"] == header]
        if not events:
            raise SettlementMissingError(f"epoch {epoch} is final, its {event_name} is not among the followed logs")
        found[name] = _place(events[-1])
    return found


def _place(event: ChainEvent) -> SettledAt:
    return SettledAt(
        block=event.block_number,
        block_hash=event.block_hash,
        block_time=event.block_timestamp,
        transaction=event.tx_hash,
        log=event.log_index,
    )
