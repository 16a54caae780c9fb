"""An operator's amount and proof in a sealed epoch's claim tree."""

from dataclasses import dataclass

from ledger.db import epochs
from ledger.model.epoch import SEALED_STATES, EpochState
from ledger.model.errors import NotFoundError
from ledger.model.units import Address, EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.sealed import tree_of
from ledger.tree.keccak import checksum_address
from ledger.tree.payout import PayoutProof, payout_proof
from ledger.tree.standard import LeafNotFoundError


class NothingEarnedError(NotFoundError):
    """The operator has no leaf in the epoch's tree."""

    code = "claim.nothing-earned"
    default_hint = "ath-ledger rewards show"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochProof:
    """An operator's leaf in the tree of one epoch, proved against the sealed root."""

    epoch: EpochNumber
    state: EpochState
    leaf: PayoutProof


def proof_of(ledger: Ledger, operator: Address, epoch: EpochNumber | None = None) -> EpochProof:
    """The operator's amount and proof in a sealed epoch's tree; by default the last final one's.

    Raises NothingEarnedError, NotFoundError for an epoch without a tree.
    """
    with ledger.database.reading() as session:
        number = epochs.last_final(session) if epoch is None else epoch
        standing = epochs.current(session, number)
        if standing.state not in SEALED_STATES:
            raise NotFoundError(
                f"epoch {number} is {standing.state} and has no claim tree yet", hint=f"ath-ledger epoch show {number}"
            )
        tree = tree_of(ledger, session, number, standing=standing)
    try:
        return EpochProof(epoch=number, state=standing.state, leaf=payout_proof(tree, operator))
    except LeafNotFoundError as error:
        raise NothingEarnedError(f"{checksum_address(operator)} has earned nothing up to epoch {number}") from error
