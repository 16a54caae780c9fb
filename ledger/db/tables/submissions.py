"""What senders handed in, before anybody judged it, and what each was told."""

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import Base, BigInt, Gapless, Hash32Column, append_only


class SubmissionRow(Base):
    """One time at which some content was handed in."""

    __tablename__ = "submissions"

    digest: Mapped[bytes] = mapped_column(Hash32Column, ForeignKey("blobs.digest"), primary_key=True)
    """SHA-256 of the content."""
    number: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    """From 1 for each content: what was refused may be handed in again, and is judged at its new time."""
    size: Mapped[int] = mapped_column(BigInt)
    received_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (Index(None, "received_at"), append_only(Gapless(column="number", within=("digest",))))


class SubmissionVerdictRow(Base):
    """What became of it at the door."""

    __tablename__ = "submission_verdicts"

    digest: Mapped[bytes] = mapped_column(Hash32Column, primary_key=True)
    number: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    uid: Mapped[bytes | None] = mapped_column(Hash32Column)
    """The item's digest, where the content could be read that far."""
    kind: Mapped[str] = mapped_column(String(20))
    epoch: Mapped[int | None] = mapped_column(BigInt)
    verdict: Mapped[str] = mapped_column(String(10))
    code: Mapped[str] = mapped_column(String(60))
    """The refusal's code; empty when admitted."""
    detail: Mapped[str] = mapped_column(Text)
    judged_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (
        ForeignKeyConstraint(["digest", "number"], ["submissions.digest", "submissions.number"]),
        CheckConstraint("verdict IN ('admitted', 'refused')", name="verdict_known"),
        append_only(),
    )
