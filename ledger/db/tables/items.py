"""The index of the evidence, and what was refused at the door. The records themselves are files."""

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import AddressColumn, Base, BigInt, Gapless, Hash32Column, append_only


class ItemRow(Base):
    """One validly signed item: registration, batch or revocation."""

    __tablename__ = "items"

    arrival: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    """Order of arrival here, from 1: a freeze names the last arrival it saw. Never decides a verdict."""
    uid: Mapped[bytes] = mapped_column(Hash32Column, unique=True)
    """The item's EIP-712 digest."""
    kind: Mapped[str] = mapped_column(String(20))
    schema: Mapped[str] = mapped_column(String(20))
    """The record type of a batch; empty for other items."""
    signer: Mapped[bytes] = mapped_column(AddressColumn)
    epoch: Mapped[int | None] = mapped_column(BigInt)
    """The epoch of a batch, or of the batch a revocation names; none for a registration."""
    sequence: Mapped[int | None] = mapped_column(BigInt)
    received_at: Mapped[int] = mapped_column(BigInt)
    file_digest: Mapped[bytes] = mapped_column(Hash32Column)

    __table_args__ = (Index(None, "epoch", "kind"), Index(None, "kind"), append_only(Gapless(column="arrival")))


class RefusalRow(Base):
    """One submission that was refused at the door, with its reason."""

    __tablename__ = "refusals"

    number: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    uid: Mapped[bytes | None] = mapped_column(Hash32Column)
    """The digest, where the submission could be read that far."""
    kind: Mapped[str] = mapped_column(String(20))
    signer: Mapped[bytes | None] = mapped_column(AddressColumn)
    epoch: Mapped[int | None] = mapped_column(BigInt)
    code: Mapped[str] = mapped_column(String(60))
    detail: Mapped[str] = mapped_column(Text)
    received_at: Mapped[int] = mapped_column(BigInt)
    file_digest: Mapped[bytes | None] = mapped_column(Hash32Column)

    __table_args__ = (Index(None, "epoch", "code"), append_only(Gapless(column="number")))
