"""The node statements of a computed epoch, out of their sealed file."""

import polars as pl
from sqlalchemy.orm import Session

from ledger.model.units import EpochNumber
from ledger.rules.statements import unsealed_statements
from ledger.steps.kept.artefact_store import ArtefactStore


def statements_of(artefacts: ArtefactStore, session: Session, epoch: EpochNumber, attempt: int) -> pl.DataFrame:
    """One row per node, ascending node id. MismatchError when the file is not what was recorded."""
    return unsealed_statements(artefacts.read(session, epoch, attempt, "statements"))
