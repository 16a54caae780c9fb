"""Having ready what all explanations of an epoch stand on, before somebody asks or a session is opened."""

from ledger.db import epochs
from ledger.db.epochs import EpochStanding
from ledger.model.units import EpochNumber
from ledger.steps.answers.epoch_terms import epoch_terms
from ledger.steps.answers.index.evidence_index import evidence_index
from ledger.steps.answers.index.statement_index import statement_index
from ledger.steps.ledger import Ledger


class NotDerivedError(Exception):
    """This process has an epoch's indexes not ready, and the asker did not want to wait for them here."""


def derive_ahead(ledger: Ledger, epoch: EpochNumber) -> None:
    """Derive the indexes of a computed epoch, and those of the one before that it is compared with, and load their
    terms, once for each process; what they raise.

    It takes seconds in a large network and reads the evidence store: those who wait for it meanwhile must not hold the
    connections it needs.
    """
    with ledger.database.reading() as session:
        asked = epochs.current(session, epoch)

    def derive() -> bool:
        with ledger.database.reading() as session:
            evidence_index(ledger, session, epoch, asked.attempt)
            for standing in epochs.standings_between(session, epoch - 1, epoch).values():
                statement_index(ledger, session, standing.epoch, standing.attempt)
                epoch_terms(ledger, session, standing)
        return True

    ledger.remembered.get(_key(asked), derive)


def require_derived(ledger: Ledger, standing: EpochStanding) -> None:
    """Go on only where nothing has to be derived first. NotDerivedError."""
    if not ledger.remembered.knows(_key(standing)):
        raise NotDerivedError


def _key(standing: EpochStanding) -> tuple[str, EpochNumber, int]:
    return ("derived ahead", standing.epoch, standing.attempt)
