"""Files an epoch produced: statements, verdicts, trees, registers. The row proves which bytes they were."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import Base, BigInt, Hash32Column, append_only


class ArtefactRow(Base):
    """One file of one attempt of an epoch."""

    __tablename__ = "artefacts"

    epoch: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    attempt: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    content_digest: Mapped[bytes] = mapped_column(Hash32Column)
    """SHA-256 of the file."""
    path: Mapped[str] = mapped_column(String(400))
    """Relative to the workspace."""
    size: Mapped[int] = mapped_column(BigInt)
    recorded_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(),)
