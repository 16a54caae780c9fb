"""Verifier roles as the registry announced them, in the order of its logs."""

from sqlalchemy import Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import AddressColumn, Base, BigInt, Hash32Column, Uint64, append_only


class RoleEntryRow(Base):
    """One `VerifierSet` log. For an epoch the entry with the greatest `from_epoch` counts, a later log on a tie."""

    __tablename__ = "role_entries"

    block: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    block_hash: Mapped[bytes] = mapped_column(Hash32Column)
    schema_id: Mapped[bytes] = mapped_column(Hash32Column)
    verifier: Mapped[bytes] = mapped_column(AddressColumn)
    affiliation: Mapped[bytes] = mapped_column(AddressColumn)
    """Zero: none."""
    registry_ids: Mapped[bytes] = mapped_column(LargeBinary)
    """The ids one after the other, 32 bytes each."""
    from_epoch: Mapped[int] = mapped_column(Uint64)
    until_epoch: Mapped[int] = mapped_column(Uint64)
    """Inclusive."""
    recorded_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (Index(None, "schema_id", "verifier"), append_only())
