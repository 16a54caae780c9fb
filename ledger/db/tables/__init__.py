"""Every table of the ledger, one module per noun; importing this package fills the metadata."""

from ledger.db.tables import artefacts, corrections, epochs, items, journal, policies, settlement, workspace

__all__ = ["artefacts", "corrections", "epochs", "items", "journal", "policies", "settlement", "workspace"]
