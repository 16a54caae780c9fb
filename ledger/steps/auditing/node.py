"""Whether a node can be asked at all: it is as far as what is known already, and shows the events its contract had.

A node that lags or keeps events back would make an honest ledger look wrong, or a wrong one unwatched. Neither is said
of a ledger on such a node's word.
"""

from ledger.chain.contracts.rewards_ledger import RewardsLedgerContract
from ledger.chain.errors import LogsHiddenError
from ledger.chain.following.epoch_history import EpochHistory, Happening
from ledger.chain.node.connection import Block
from ledger.db import chain_log
from ledger.model.errors import EnvironmentFailure
from ledger.model.units import ZERO_HASH, Hash32, to_hex
from ledger.steps.ledger import Ledger


class ChainBehindError(EnvironmentFailure):
    """The node does not have blocks that are known to be there."""

    code = "chain.behind"
    default_hint = "wait until the node is synchronised, or ask another one: --rpc URL, or rpc_url in settings.toml"


def require_reached(head: int, known: int, why: str) -> None:
    """Raise ChainBehindError unless the node is as far as a block that is known; `why` says from what."""
    if head < known:
        raise ChainBehindError(f"{why} block {known}, the node ends at block {head}")


def followed_to(ledger: Ledger) -> int:
    """The block up to which the books took the chain as final; 0 before the first look."""
    with ledger.database.reading() as session:
        point = chain_log.final_point(session, ledger.domain.chain_id)
    return 0 if point is None else point.number


def require_same_header(emitted: Hash32, held: Hash32, block: int) -> None:
    """Raise LogsHiddenError unless the contract holds the header of the last event the node shows."""
    if emitted != held:
        raise LogsHiddenError(
            f"at block {block} the contract holds header {to_hex(held)}, the last event the node shows is about "
            f"{to_hex(emitted)}"
        )


def require_shown(contract: RewardsLedgerContract, history: EpochHistory, at: Block) -> None:
    """Raise LogsHiddenError unless the events up to a block lead to what the contract holds there."""
    decided = (Happening.ACTIVATED, Happening.SUPERSEDED)
    last = [each.header_hash for each in history.happenings if each.what in decided]
    require_same_header(last[-1] if last else ZERO_HASH, contract.last_header_hash(at.hash), at.number)
    pending, shown = contract.pending(at.hash), history.in_window
    held = None if pending is None else pending.header_hash
    if held != (None if shown is None else shown.header_hash):
        found = "none" if shown is None else to_hex(shown.header_hash)
        told = "none" if held is None else to_hex(held)
        raise LogsHiddenError(
            f"at block {at.number} the contract has header {told} in its window, its events say {found}"
        )
