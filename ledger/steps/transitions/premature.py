"""A proposal that was planned behind an activation which the chain has taken back: it must not stand in that one's way.

Calls leave in the order of their nonces. Once somebody else's activation of an epoch is gone below finality, the ledger
has to send its own, with a nonce behind the next epoch's proposal, and the contract refuses that proposal until then.
"""

from ledger.db import epochs
from ledger.db.outbox_entry import OPEN_STATES
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.transactions.publisher import drop_planned
from ledger.steps.transitions.activate import planned_activation
from ledger.steps.transitions.propose import planned_proposal


def withdraw_premature(ledger: Ledger, epoch: EpochNumber, refusal: str) -> bool:
    """Withdraw the next epoch's unsent proposal, which the contract refuses, where no call of ours before it is on its
    way to activate this epoch. Whether it was withdrawn: it is proposed anew when a person resumes its epoch.
    """
    after = EpochNumber(epoch + 1)
    with ledger.database.transaction() as session:
        standings = epochs.standings_between(session, epoch, after)
        if after not in standings:
            return False
        own = planned_activation(session, epoch, standings[epoch].attempt)
        proposal = planned_proposal(session, after, standings[after].attempt)
        if own is not None and proposal is not None and own.state in OPEN_STATES and own.nonce < proposal.nonce:
            return False
        return drop_planned(session, proposal, f"epoch {epoch} is not active any more: {refusal}", ledger.clock.now())
