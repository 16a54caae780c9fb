"""Settlement: what is to be sent, every signed attempt, every observation, and the blocks followed.

All of it is append-only: an outbox entry's state is its last event, a block's standing its last row, so a
crash or a reorg can never erase that a transaction was signed or that a block was once believed.
"""

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ledger.db.schema import AddressColumn, Base, BigInt, Gapless, Hash32Column, Wei256, append_only


class OutboxSender(Base):
    """An account whose nonces belong to the outbox from `first_nonce` on; nobody else may send from it."""

    __tablename__ = "outbox_senders"

    chain_id: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    sender: Mapped[bytes] = mapped_column(AddressColumn, primary_key=True)
    first_nonce: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(),)


class OutboxIntent(Base):
    """One effect on chain: one key, one nonce, one body, for ever. Gapless nonces per chain and sender."""

    __tablename__ = "outbox_intents"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(200), unique=True)
    chain_id: Mapped[int] = mapped_column(BigInt)
    sender: Mapped[bytes] = mapped_column(AddressColumn)
    nonce: Mapped[int] = mapped_column(BigInt)
    recipient: Mapped[bytes] = mapped_column(AddressColumn)
    value_wei: Mapped[int] = mapped_column(Wei256)
    calldata: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        UniqueConstraint("chain_id", "sender", "nonce"),
        ForeignKeyConstraint(["chain_id", "sender"], ["outbox_senders.chain_id", "outbox_senders.sender"]),
        CheckConstraint("nonce >= 0", name="nonce_not_negative"),
        append_only(),
    )


class OutboxAttempt(Base):
    """One signed transaction for an intent: the bytes as broadcast, stored before they leave."""

    __tablename__ = "outbox_attempts"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    intent_seq: Mapped[int] = mapped_column(BigInt, ForeignKey("outbox_intents.seq"))
    number: Mapped[int] = mapped_column(BigInt)
    """From 0; each fee bump is the next one at the same nonce."""
    voids: Mapped[bool]
    """True: an empty transfer to the sender itself, which uses the nonce up instead of the intent."""
    tx_hash: Mapped[bytes] = mapped_column(Hash32Column, unique=True)
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    gas: Mapped[int] = mapped_column(BigInt)
    max_fee_per_gas_wei: Mapped[int] = mapped_column(Wei256)
    max_priority_fee_per_gas_wei: Mapped[int] = mapped_column(Wei256)
    signed_at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (
        UniqueConstraint("intent_seq", "number"),
        append_only(Gapless(column="number", within=("intent_seq",), first=0)),
    )


class OutboxEvent(Base):
    """One observation or decision about an intent; the last one is its state."""

    __tablename__ = "outbox_events"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    intent_seq: Mapped[int] = mapped_column(BigInt, ForeignKey("outbox_intents.seq"))
    number: Mapped[int] = mapped_column(BigInt)
    """From 0, gapless per intent: two writers cannot both continue the same state."""
    state: Mapped[str] = mapped_column(String(20))
    tx_hash: Mapped[bytes | None] = mapped_column(Hash32Column)
    block_number: Mapped[int | None] = mapped_column(BigInt)
    block_hash: Mapped[bytes | None] = mapped_column(Hash32Column)
    detail: Mapped[str] = mapped_column(String)
    at: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (
        UniqueConstraint("intent_seq", "number"),
        append_only(Gapless(column="number", within=("intent_seq",), first=0)),
    )


class ChainBlock(Base):
    """A block the follower believed (`canonical`) or stopped believing (`orphaned`); the last row per hash counts."""

    __tablename__ = "chain_blocks"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    chain_id: Mapped[int] = mapped_column(BigInt)
    number: Mapped[int] = mapped_column(BigInt)
    hash: Mapped[bytes] = mapped_column(Hash32Column)
    parent_hash: Mapped[bytes] = mapped_column(Hash32Column)
    timestamp: Mapped[int] = mapped_column(BigInt)
    standing: Mapped[str] = mapped_column(String(10))

    __table_args__ = (
        CheckConstraint("standing IN ('canonical', 'orphaned')", name="standing_known"),
        Index(None, "chain_id", "number"),
        Index(None, "hash"),
        append_only(),
    )


class ChainLog(Base):
    """One raw event log of one of our contracts, as mined in one block; it shares that block's standing."""

    __tablename__ = "chain_logs"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    chain_id: Mapped[int] = mapped_column(BigInt)
    block_number: Mapped[int] = mapped_column(BigInt)
    block_hash: Mapped[bytes] = mapped_column(Hash32Column)
    block_timestamp: Mapped[int] = mapped_column(BigInt)
    tx_hash: Mapped[bytes] = mapped_column(Hash32Column)
    log_index: Mapped[int] = mapped_column(BigInt)
    address: Mapped[bytes] = mapped_column(AddressColumn)
    topics: Mapped[bytes] = mapped_column(LargeBinary)
    """The topics one after the other, 32 bytes each."""
    data: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        UniqueConstraint("block_hash", "log_index"),
        Index(None, "chain_id", "block_number"),
        append_only(),
    )


class ChainFinality(Base):
    """How far the chain was final when the follower looked; the last row counts."""

    __tablename__ = "chain_finality"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    chain_id: Mapped[int] = mapped_column(BigInt)
    number: Mapped[int] = mapped_column(BigInt)
    hash: Mapped[bytes] = mapped_column(Hash32Column)
    timestamp: Mapped[int] = mapped_column(BigInt)
    head_number: Mapped[int] = mapped_column(BigInt)

    __table_args__ = (append_only(),)


class ChainReorg(Base):
    """A branch the chain left: committed before anything is raised, so that no restart forgets it."""

    __tablename__ = "chain_reorgs"

    seq: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=True)
    chain_id: Mapped[int] = mapped_column(BigInt)
    fork_number: Mapped[int] = mapped_column(BigInt)
    """The highest followed block that both branches share."""
    left_number: Mapped[int] = mapped_column(BigInt)
    left_hash: Mapped[bytes] = mapped_column(Hash32Column)
    """The tip of the branch that was left."""
    final_number: Mapped[int] = mapped_column(BigInt)
    """How far the left branch had been taken as final; above `fork_number` the books are affected."""

    __table_args__ = (append_only(),)
