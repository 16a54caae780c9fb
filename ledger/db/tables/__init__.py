"""Every table of the ledger, one module per noun; importing this package fills the metadata."""

from ledger.db.tables import (
    artefacts,
    blobs,
    corrections,
    epochs,
    items,
    journal,
    parts,
    policies,
    settlement,
    submissions,
    workspace,
)

__all__ = [
    "artefacts",
    "blobs",
    "corrections",
    "epochs",
    "items",
    "journal",
    "parts",
    "policies",
    "settlement",
    "submissions",
    "workspace",
]
