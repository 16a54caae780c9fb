"""Corrections of claim trees: what was announced to supersede a root, whole, so that its claims can be proved."""

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import Base, BigInt, Hash32Column, append_only


class CorrectionRow(Base):
    """One correction as prepared. It counts from the moment the journal has the entry its header names."""

    __tablename__ = "corrections"

    header_hash: Mapped[bytes] = mapped_column(Hash32Column, primary_key=True)
    ledger_head: Mapped[bytes] = mapped_column(Hash32Column, unique=True)
    """The hash of the entry that books it."""
    epoch: Mapped[int] = mapped_column(BigInt)
    number: Mapped[int] = mapped_column(BigInt)
    """Which correction of the epoch, from 1; several may be prepared under one number, one is booked."""
    document: Mapped[bytes] = mapped_column(LargeBinary)
    """Canonical JSON: the reason, the correction header, the leaves."""
    recorded_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(),)
