"""Every table of the ledger, one module per noun; importing this package fills the metadata."""

from ledger.db.tables import artefacts, epochs, items, journal, policies, settlement, workspace

__all__ = ["artefacts", "epochs", "items", "journal", "policies", "settlement", "workspace"]
