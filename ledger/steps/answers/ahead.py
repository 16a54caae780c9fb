"""Having ready what all explanations of an epoch stand on, before somebody asks or a session is opened."""

from ledger.db import epochs
from ledger.model.units import EpochNumber
from ledger.steps.answers.epoch_terms import epoch_terms
from ledger.steps.answers.index.evidence_index import evidence_index
from ledger.steps.answers.index.statement_index import statement_index
from ledger.steps.ledger import Ledger


def derive_ahead(ledger: Ledger, epoch: EpochNumber) -> None:
    """Derive the indexes of a computed epoch and load its terms, once for each process; what they raise.

    It takes seconds in a large network and reads the evidence store: those who wait for it meanwhile must not hold the
    connections it needs.
    """

    def derive() -> bool:
        with ledger.database.reading() as session:
            standing = epochs.current(session, epoch)
            statement_index(ledger, session, epoch, standing.attempt)
            evidence_index(ledger, session, epoch, standing.attempt)
            epoch_terms(ledger, session, standing)
        return True

    ledger.remembered.get(_key(epoch), derive)


def is_derived(ledger: Ledger, epoch: EpochNumber) -> bool:
    """Whether this process has them ready."""
    return ledger.remembered.knows(_key(epoch))


def _key(epoch: EpochNumber) -> tuple[str, EpochNumber]:
    return ("derived ahead", epoch)
