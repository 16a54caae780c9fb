"""Which ledger this database belongs to: one chain, one set of contracts, one calendar, for ever."""

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import Base, BigInt, Hash32Column, append_only


class WorkspaceRow(Base):
    """The one row that is written when the workspace is made."""

    __tablename__ = "workspace"

    id: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    chain_id: Mapped[int] = mapped_column(BigInt)
    genesis_block_hash: Mapped[bytes] = mapped_column(Hash32Column)
    contracts: Mapped[str] = mapped_column(Text)
    """Canonical JSON: contract name → lower-case address."""
    ledger_genesis: Mapped[int] = mapped_column(BigInt)
    epoch_length: Mapped[int] = mapped_column(BigInt)
    recorded_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (CheckConstraint("id = 1", name="only_one"), append_only())
