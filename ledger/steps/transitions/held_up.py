"""Nothing new is paid while a difference stands in suspense."""

from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.open_differences import open_differences
from ledger.steps.transitions.transition import Waiting


def held_up(ledger: Ledger, epoch: EpochNumber, state: EpochState) -> Waiting | None:
    """Why an epoch may not pay now; None when nothing stands in suspense."""
    with ledger.database.reading() as session:
        found = open_differences(session)
    if not found:
        return None
    first = found[0]
    why = (
        f"new payouts rest: {len(found)} differences stand in suspense, first {first.key} ({first.account} by"
        f" {first.difference}); Next: ath-ledger doctor"
    )
    return Waiting(epoch=epoch, state=state, why=why)
