"""Where every epoch stands: its events, which never change, and the projection of the last one."""

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import Base, BigInt, Gapless, append_only


class EpochEventRow(Base):
    """One transition of one epoch, with the facts it was decided on."""

    __tablename__ = "epoch_events"

    epoch: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    """From 1, gapless per epoch: the epoch's version after this event."""
    state: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(BigInt)
    facts: Mapped[str] = mapped_column(Text)
    """Canonical JSON."""
    reason: Mapped[str] = mapped_column(Text)
    """Why the epoch halted or resumed; empty otherwise."""
    recorded_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(Gapless(column="number", within=("epoch",))),)


class EpochRow(Base):
    """The last event of each epoch. A projection: rebuilt from `epoch_events` at any time."""

    __tablename__ = "epochs"

    epoch: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    state: Mapped[str] = mapped_column(String(20), index=True)
    attempt: Mapped[int] = mapped_column(BigInt)
    version: Mapped[int] = mapped_column(BigInt)
    reason: Mapped[str] = mapped_column(Text)


class VerdictCountRow(Base):
    """How many items, records, hours or nodes of an epoch got one code; the verdicts themselves are a file."""

    __tablename__ = "verdict_counts"

    epoch: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    attempt: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    scope: Mapped[str] = mapped_column(String(20), primary_key=True)
    code: Mapped[str] = mapped_column(String(60), primary_key=True)
    """Empty: accepted."""
    count: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(),)
