"""The follower's rows: blocks believed or orphaned, raw logs, how far the chain is final, branches left.

Only rows are added. A block is canonical when its last row says so; a log shares its block's standing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Subquery, func, select
from sqlalchemy.orm import Session

from ledger.db.tables.settlement import ChainBlock, ChainFinality, ChainLog, ChainReorg
from ledger.model.units import Address, Hash32, Timestamp

CANONICAL = "canonical"
ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedBlock:
    """A block as followed."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLog:
    """One event log as mined."""

    block_number: int
    block_hash: Hash32
    block_timestamp: Timestamp
    tx_hash: Hash32
    log_index: int
    address: Address
    topics: tuple[Hash32, ...]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalPoint:
    """How far the chain is final, and the head it was seen from."""

    number: int
    hash: Hash32
    timestamp: Timestamp
    head_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorg:
    """A branch the chain left."""

    fork_number: int
    left_number: int
    left_hash: Hash32
    final_number: int

    @property
    def breaks_finality(self) -> bool:
        """Whether blocks that were taken as final are gone."""
        return self.final_number > self.fork_number


def canonical_blocks(
    session: Session, chain_id: int, up_to: int | None = None, limit: int = 200
) -> list[FollowedBlock]:
    """The highest blocks still believed, highest first, none above `up_to`."""
    last = _last_rows(chain_id)
    query = (
        select(ChainBlock)
        .join(last, last.c.seq == ChainBlock.seq)
        .where(ChainBlock.standing == CANONICAL)
        .order_by(ChainBlock.number.desc())
        .limit(limit)
    )
    if up_to is not None:
        query = query.where(ChainBlock.number <= up_to)
    return [_block(row) for row in session.execute(query).scalars()]


def add_blocks(session: Session, chain_id: int, blocks: Sequence[FollowedBlock], standing: str) -> None:
    """Add what is now believed about these blocks; blocks that already stand so are skipped."""
    standings = _standings(session, chain_id, [block.hash for block in blocks])
    for block in blocks:
        if standings.get(block.hash) == standing:
            continue
        session.add(
            ChainBlock(
                chain_id=chain_id,
                number=block.number,
                hash=block.hash,
                parent_hash=block.parent_hash,
                timestamp=block.timestamp,
                standing=standing,
            )
        )
    session.flush()


def add_logs(session: Session, chain_id: int, logs: Sequence[RawLog]) -> None:
    """Add logs; those of the same block and index are there already."""
    known: set[tuple[bytes, int]] = set()
    for chunk in _chunks(sorted({log.block_hash for log in logs})):
        rows = session.execute(
            select(ChainLog.block_hash, ChainLog.log_index).where(
                ChainLog.chain_id == chain_id, ChainLog.block_hash.in_(chunk)
            )
        )
        known |= {(row.block_hash, row.log_index) for row in rows}
    for log in logs:
        if (log.block_hash, log.log_index) in known:
            continue
        session.add(
            ChainLog(
                chain_id=chain_id,
                block_number=log.block_number,
                block_hash=log.block_hash,
                block_timestamp=log.block_timestamp,
                tx_hash=log.tx_hash,
                log_index=log.log_index,
                address=log.address,
                topics=b"".join(log.topics),
                data=log.data,
            )
        )
    session.flush()


def canonical_logs(
    session: Session, chain_id: int, above: int, up_to: int, *, address: Address | None = None
) -> list[RawLog]:
    """Logs of canonical blocks with above < number ≤ up_to, in the order of the chain; of one contract, or of all."""
    last = _last_rows(chain_id)
    believed = select(ChainBlock.hash).join(last, last.c.seq == ChainBlock.seq).where(ChainBlock.standing == CANONICAL)
    query = select(ChainLog).where(
        ChainLog.chain_id == chain_id,
        ChainLog.block_number > above,
        ChainLog.block_number <= up_to,
        ChainLog.block_hash.in_(believed),
    )
    if address is not None:
        query = query.where(ChainLog.address == address)
    rows = session.execute(query.order_by(ChainLog.block_number, ChainLog.log_index)).scalars()
    return [_log(row) for row in rows]


def final_point(session: Session, chain_id: int) -> FinalPoint | None:
    """How far the chain was final when it was last followed."""
    row = session.execute(
        select(ChainFinality).where(ChainFinality.chain_id == chain_id).order_by(ChainFinality.seq.desc()).limit(1)
    ).scalar_one_or_none()
    if row is None:
        return None
    return FinalPoint(
        number=row.number, hash=Hash32(row.hash), timestamp=Timestamp(row.timestamp), head_number=row.head_number
    )


def add_final_point(session: Session, chain_id: int, point: FinalPoint) -> None:
    """State anew how far the chain is final."""
    session.add(
        ChainFinality(
            chain_id=chain_id,
            number=point.number,
            hash=point.hash,
            timestamp=point.timestamp,
            head_number=point.head_number,
        )
    )
    session.flush()


def add_reorg(session: Session, chain_id: int, reorg: Reorg) -> None:
    """Note that the chain left a branch."""
    session.add(
        ChainReorg(
            chain_id=chain_id,
            fork_number=reorg.fork_number,
            left_number=reorg.left_number,
            left_hash=reorg.left_hash,
            final_number=reorg.final_number,
        )
    )
    session.flush()


def lowest_broken_fork(session: Session, chain_id: int) -> int | None:
    """The lowest block a branch left from that had been final above it; None while finality was never broken."""
    return session.execute(
        select(func.min(ChainReorg.fork_number)).where(
            ChainReorg.chain_id == chain_id, ChainReorg.final_number > ChainReorg.fork_number
        )
    ).scalar_one()


def orphaned(session: Session, chain_id: int, hashes: Collection[Hash32]) -> set[Hash32]:
    """Those of the blocks that are followed no longer."""
    standings = _standings(session, chain_id, list(hashes))
    return {block_hash for block_hash in hashes if standings.get(block_hash) == ORPHANED}


def reorgs(session: Session, chain_id: int) -> list[Reorg]:
    """Every branch the chain left, oldest first."""
    rows = session.execute(select(ChainReorg).where(ChainReorg.chain_id == chain_id).order_by(ChainReorg.seq)).scalars()
    return [
        Reorg(
            fork_number=row.fork_number,
            left_number=row.left_number,
            left_hash=Hash32(row.left_hash),
            final_number=row.final_number,
        )
        for row in rows
    ]


def _last_rows(chain_id: int) -> Subquery:
    return (
        select(func.max(ChainBlock.seq).label("seq"))
        .where(ChainBlock.chain_id == chain_id)
        .group_by(ChainBlock.hash)
        .subquery()
    )


def _standings(session: Session, chain_id: int, hashes: Sequence[Hash32]) -> dict[bytes, str]:
    standings: dict[bytes, str] = {}
    for chunk in _chunks(sorted(hashes)):
        rows = session.execute(
            select(ChainBlock.hash, ChainBlock.standing)
            .where(ChainBlock.chain_id == chain_id, ChainBlock.hash.in_(chunk))
            .order_by(ChainBlock.seq)
        )
        standings |= {row.hash: row.standing for row in rows}
    return standings


def _chunks(hashes: Sequence[Hash32]) -> list[Sequence[Hash32]]:
    """Pieces short enough for one statement's parameters on every engine."""
    return [hashes[at : at + 500] for at in range(0, len(hashes), 500)]


def _block(row: ChainBlock) -> FollowedBlock:
    return FollowedBlock(
        number=row.number,
        hash=Hash32(row.hash),
        parent_hash=Hash32(row.parent_hash),
        timestamp=Timestamp(row.timestamp),
    )


def _log(row: ChainLog) -> RawLog:
    topics = tuple(Hash32(row.topics[at : at + 32]) for at in range(0, len(row.topics), 32))
    return RawLog(
        block_number=row.block_number,
        block_hash=Hash32(row.block_hash),
        block_timestamp=Timestamp(row.block_timestamp),
        tx_hash=Hash32(row.tx_hash),
        log_index=row.log_index,
        address=Address(row.address),
        topics=topics,
        data=row.data,
    )
