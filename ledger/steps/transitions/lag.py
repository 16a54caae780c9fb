"""How far the books are behind the chain they settle on. Only a restored backup makes them so, or a stolen key.

A ledger that plans writes first and sends afterwards, so the chain never knows an epoch or a nonce that its books do
not. One that only follows may be as far behind as it likes.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from ledger.db import epochs, outbox
from ledger.db.outbox_entry import OutboxState
from ledger.model.epoch import EpochState
from ledger.model.errors import EnvironmentFailure
from ledger.model.units import Address, EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.propose import proposal_key
from ledger.tree.keccak import checksum_address

BEFORE_PROPOSAL: Final = frozenset({EpochState.OPEN, EpochState.FROZEN, EpochState.COMPUTED, EpochState.SEALED})


class BehindChainError(EnvironmentFailure):
    """The chain has what these books should have done, and have not: nothing is planned or sent."""

    code = "books.behind-chain"
    retryable = False
    default_hint = "ath-ledger db catch-up, if a backup was restored; else look for who else has the publisher's key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What the chain has before the books."""

    sender: Address
    epoch: EpochNumber | None
    """The first epoch with a header on chain that these books have not proposed."""
    headers: int
    """How many epochs have a header on chain."""
    next_nonce: int
    """The outbox's next one for the sender."""
    used_nonces: int
    """How many the chain has used."""

    def __str__(self) -> str:
        parts = []
        if self.epoch is not None:
            parts.append(
                f"the chain has headers up to epoch {self.headers - 1}, these books have not proposed {self.epoch}"
            )
        if self.used_nonces > self.next_nonce:
            account = checksum_address(self.sender)
            parts.append(
                f"{account} used nonce {self.used_nonces - 1}, these books know them up to {self.next_nonce - 1}"
            )
        return "; ".join(parts)


def require_level(ledger: Ledger) -> None:
    """Refuse to plan or send from books that are behind: BehindChainError."""
    found = lag(ledger)
    if found is not None:
        raise BehindChainError(str(found))


def lag(ledger: Ledger) -> Lag | None:
    """How far the books of a ledger that publishes are behind; None when they are level, or it only follows."""
    settlement = ledger.settlement()
    if settlement.publisher is None:
        return None
    # the chain first: what it has by now, the books have had before
    connection, contract, sender = settlement.connection, settlement.rewards_ledger, settlement.publisher.address
    head = connection.head().hash
    pending = contract.pending(head) is not None
    headers = contract.next_epoch(head) + (1 if pending else 0)
    used = connection.nonce(sender, head)
    with ledger.database.reading() as session:
        ours = outbox.next_nonce(session, connection.chain_id, sender)
        epoch = _first_unknown(session, headers, used)
    if epoch is None and (ours is None or used <= ours):
        return None
    return Lag(sender=sender, epoch=epoch, headers=headers, next_nonce=used if ours is None else ours, used_nonces=used)


def _first_unknown(session: Session, headers: int, used_nonces: int) -> EpochNumber | None:
    standings = {each.epoch: each for each in epochs.all_standings(session)}
    for number in map(EpochNumber, range(headers)):
        standing = standings.get(number)
        if standing is None or standing.state in BEFORE_PROPOSAL:
            return number
        if standing.state is EpochState.PROPOSED and _is_lost(session, standing, used_nonces):
            return number
    return None


def _is_lost(session: Session, standing: epochs.EpochStanding, used_nonces: int) -> bool:
    """Whether the proposal was only planned here, and its nonce is used: it was signed after the backup."""
    entry = outbox.find_entry(session, proposal_key(standing.epoch, standing.attempt))
    return entry is not None and entry.state is OutboxState.PLANNED and entry.nonce < used_nonces
