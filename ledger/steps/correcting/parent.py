"""Whether an epoch may be sealed and proposed on what the epoch before left: not while that may still be corrected."""

from ledger.db.epochs import current
from ledger.model.units import EpochNumber, Hash32
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import parent_header_hash
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.transition import Waiting


def parent_may_change(ledger: Ledger, epoch: EpochNumber) -> Waiting | None:
    """Why the epoch waits: claims are paused, or the chain's last header is not the one in the books yet."""
    settlement = ledger.settlement()
    at = settlement.connection.head()
    contract = settlement.rewards_ledger
    last, is_paused = contract.last_header_hash(at.hash), contract.is_paused(at.hash)
    if not is_paused and last == _parent(ledger, epoch):
        return None
    if contract.next_epoch(at.hash) > epoch:  # it is active already: these books only catch up with what was decided
        return None
    follow(ledger)
    why = "claims are paused and the root before may be corrected"
    if last != _parent(ledger, epoch):
        why = "the correction of the epoch before is not final yet"
    elif not is_paused:
        return None
    with ledger.database.reading() as session:
        return Waiting(epoch=epoch, state=current(session, epoch).state, why=why)


def _parent(ledger: Ledger, epoch: EpochNumber) -> Hash32:
    with ledger.database.reading() as session:
        return parent_header_hash(session, epoch)
