"""Files kept inside the database, where machines share no folder: content by its SHA-256, evidence by its uid."""

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import Base, BigInt, Hash32Column, append_only


class BlobRow(Base):
    """The bytes of one file, once, whatever names them."""

    __tablename__ = "blobs"

    digest: Mapped[bytes] = mapped_column(Hash32Column, primary_key=True)
    """SHA-256 of the content."""
    size: Mapped[int] = mapped_column(BigInt)
    content: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (CheckConstraint("length(content) = size", name="whole"), append_only())


class StoredItemRow(Base):
    """One object of the evidence store: which bytes a uid stands for."""

    __tablename__ = "stored_items"

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    uid: Mapped[bytes] = mapped_column(Hash32Column, primary_key=True)
    digest: Mapped[bytes] = mapped_column(Hash32Column, ForeignKey("blobs.digest"))
    size: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(),)
