"""Policies that govern epochs, as the registry announced them, and the tables they point to."""

from sqlalchemy import LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import Base, BigInt, Hash32Column, Uint64, append_only


class PolicyRow(Base):
    """One policy an epoch was frozen under; the registry never uses a version twice."""

    __tablename__ = "policies"

    version: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    effective_epoch: Mapped[int] = mapped_column(Uint64, index=True)
    policy_hash: Mapped[bytes] = mapped_column(Hash32Column)
    parameters: Mapped[str] = mapped_column(Text)
    """Canonical JSON of the policy's fields."""
    block: Mapped[int] = mapped_column(BigInt)
    recorded_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(),)


class TablesDocumentRow(Base):
    """The figures per model and zone behind a policy's `tables_hash`."""

    __tablename__ = "tables_documents"

    tables_hash: Mapped[bytes] = mapped_column(Hash32Column, primary_key=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)
    """Canonical JSON, exactly the bytes that were hashed."""
    recorded_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(),)
