"""The books: entries of both hash chains, their transfers, and the projection of the balances."""

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import WEI256_ZERO, Base, BigInt, Gapless, Hash32Column, Wei256, append_only


class JournalEntryRow(Base):
    """One entry, its canonical bytes exactly as hashed."""

    __tablename__ = "journal_entries"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    chain: Mapped[str] = mapped_column(String(4))
    number: Mapped[int] = mapped_column(BigInt)
    key: Mapped[str] = mapped_column(String(200), unique=True)
    kind: Mapped[str] = mapped_column(String(20), index=True)
    effective_at: Mapped[int] = mapped_column(BigInt)
    canonical: Mapped[bytes] = mapped_column(LargeBinary)
    body_hash: Mapped[bytes] = mapped_column(Hash32Column)
    previous_hash: Mapped[bytes] = mapped_column(Hash32Column)
    hash: Mapped[bytes] = mapped_column(Hash32Column, unique=True)
    transfer_count: Mapped[int] = mapped_column(BigInt)
    recorded_at: Mapped[int] = mapped_column(BigInt)
    """When this machine booked it; outside every hash."""

    __table_args__ = (
        UniqueConstraint("chain", "number"),
        CheckConstraint("chain IN ('seal', 'log')", name="chain_known"),
        CheckConstraint("length(hash) = 32 AND length(previous_hash) = 32", name="hash_lengths"),
        append_only(Gapless(column="seq"), Gapless(column="number", within=("chain",))),
    )


class TransferRow(Base):
    """One debit and one credit of an entry; lines count from 0."""

    __tablename__ = "transfers"

    entry_seq: Mapped[int] = mapped_column(
        BigInt, ForeignKey("journal_entries.seq"), primary_key=True, autoincrement=False
    )
    line_no: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    debit: Mapped[str] = mapped_column(String(60))
    credit: Mapped[str] = mapped_column(String(60))
    asset: Mapped[str] = mapped_column(String(6))
    amount: Mapped[int] = mapped_column(Wei256)
    code: Mapped[str] = mapped_column(String(16))

    __table_args__ = (
        # as text on SQLite and as a number on PostgreSQL, the same literal works in both
        CheckConstraint(f"amount > '{WEI256_ZERO}'", name="amount_positive"),
        CheckConstraint("debit <> credit", name="two_accounts"),
        CheckConstraint("line_no >= 0", name="line_not_negative"),
        append_only(),
    )


class BalanceRow(Base):
    """What every account was debited and credited in all. A projection: rebuilt from `transfers` at any time."""

    __tablename__ = "balances"

    account: Mapped[str] = mapped_column(String(60), primary_key=True)
    debits: Mapped[int] = mapped_column(Wei256)
    credits: Mapped[int] = mapped_column(Wei256)
