"""Parts of an epoch's work that were done ahead. A projection: deleted at any time, they are made again."""

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import Base, BigInt, Hash32Column


class PartRow(Base):
    """The newest file of one shard of one kind of work."""

    __tablename__ = "parts"

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    shards: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    """How many shards the work was cut into."""
    number: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    """Which of them, from 0."""
    inputs: Mapped[bytes] = mapped_column(Hash32Column)
    """SHA-256 of what it was made from: a part of other inputs is no part."""
    digest: Mapped[bytes] = mapped_column(Hash32Column)
    """SHA-256 of the content."""
    content: Mapped[bytes] = mapped_column(LargeBinary)
