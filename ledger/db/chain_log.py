"""The follower's rows: blocks believed or orphaned, raw logs, how far the chain is final, branches left.

Only rows are added. A block is canonical when its last row says so; a log shares its block's standing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, func, insert, select
from sqlalchemy.orm import Session

from ledger.db.schema import table_of
from ledger.db.tables.settlement import ChainBlock, ChainFinality, ChainLog, ChainReorg
from ledger.model.units import Address, Hash32, Timestamp

CANONICAL = "canonical"
ORPHANED = "orphaned"

_BLOCKS: Final = table_of(ChainBlock)
_LOGS: Final = table_of(ChainLog)
_FINALITY: Final = table_of(ChainFinality)
_REORGS: Final = table_of(ChainReorg)

# statements are built once: every look at the chain runs all of them
_SAME_BLOCK: Final = _BLOCKS.alias("same_block")
_CANONICAL_BLOCKS: Final[Select[Any]] = (
    select(_BLOCKS.c.number, _BLOCKS.c.hash, _BLOCKS.c.parent_hash, _BLOCKS.c.timestamp)
    .where(
        _BLOCKS.c.chain_id == bindparam("chain_id"),
        _BLOCKS.c.standing == CANONICAL,
        _BLOCKS.c.seq
        == select(func.max(_SAME_BLOCK.c.seq))
        .where(_SAME_BLOCK.c.chain_id == _BLOCKS.c.chain_id, _SAME_BLOCK.c.hash == _BLOCKS.c.hash)
        .scalar_subquery(),
    )
    .order_by(_BLOCKS.c.number.desc())
    .limit(bindparam("limit"))
)
_CANONICAL_BLOCKS_UP_TO: Final[Select[Any]] = _CANONICAL_BLOCKS.where(_BLOCKS.c.number <= bindparam("up_to"))
_STANDING_OF_LOG: Final = (
    select(_BLOCKS.c.standing)
    .where(_BLOCKS.c.chain_id == _LOGS.c.chain_id, _BLOCKS.c.hash == _LOGS.c.block_hash)
    .order_by(_BLOCKS.c.seq.desc())
    .limit(1)
    .scalar_subquery()
)
_CANONICAL_LOGS: Final = (
    select(*(each for each in _LOGS.c if each.name not in {"seq", "chain_id"}))
    .where(
        _LOGS.c.chain_id == bindparam("chain_id"),
        _LOGS.c.block_number > bindparam("above"),
        _LOGS.c.block_number <= bindparam("up_to"),
        _STANDING_OF_LOG == CANONICAL,
    )
    .order_by(_LOGS.c.block_number, _LOGS.c.log_index)
)
_CANONICAL_LOGS_OF: Final = _CANONICAL_LOGS.where(_LOGS.c.address == bindparam("address"))
_KNOWN_LOGS: Final = select(_LOGS.c.block_hash, _LOGS.c.log_index).where(
    _LOGS.c.chain_id == bindparam("chain_id"), _LOGS.c.block_hash.in_(bindparam("hashes", expanding=True))
)
_STANDINGS: Final = (
    select(_BLOCKS.c.hash, _BLOCKS.c.standing)
    .where(_BLOCKS.c.chain_id == bindparam("chain_id"), _BLOCKS.c.hash.in_(bindparam("hashes", expanding=True)))
    .order_by(_BLOCKS.c.seq)
)
_FINAL_POINT: Final = (
    select(_FINALITY.c.number, _FINALITY.c.hash, _FINALITY.c.timestamp, _FINALITY.c.head_number)
    .where(_FINALITY.c.chain_id == bindparam("chain_id"))
    .order_by(_FINALITY.c.seq.desc())
    .limit(1)
)
_LOWEST_BROKEN_FORK: Final = select(func.min(_REORGS.c.fork_number)).where(
    _REORGS.c.chain_id == bindparam("chain_id"), _REORGS.c.final_number > _REORGS.c.fork_number
)


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
    if up_to is None:
        rows = session.execute(_CANONICAL_BLOCKS, {"chain_id": chain_id, "limit": limit})
    else:
        rows = session.execute(_CANONICAL_BLOCKS_UP_TO, {"chain_id": chain_id, "limit": limit, "up_to": up_to})
    return [_block(row) for row in rows]


def add_blocks(session: Session, chain_id: int, blocks: Sequence[FollowedBlock], standing: str) -> None:
    """Add what is now believed about these blocks; blocks that already stand so are skipped."""
    standings = _standings(session, chain_id, [block.hash for block in blocks])
    added = [
        {
            "chain_id": chain_id,
            "number": block.number,
            "hash": block.hash,
            "parent_hash": block.parent_hash,
            "timestamp": block.timestamp,
            "standing": standing,
        }
        for block in blocks
        if standings.get(block.hash) != standing
    ]
    if added:
        session.execute(insert(_BLOCKS), added)


def add_logs(session: Session, chain_id: int, logs: Sequence[RawLog]) -> None:
    """Add logs; those of the same block and index are there already."""
    known: set[tuple[bytes, int]] = set()
    for chunk in _chunks(sorted({log.block_hash for log in logs})):
        rows = session.execute(_KNOWN_LOGS, {"chain_id": chain_id, "hashes": chunk})
        known |= {(row.block_hash, row.log_index) for row in rows}
    added = [
        {
            "chain_id": chain_id,
            "block_number": log.block_number,
            "block_hash": log.block_hash,
            "block_timestamp": log.block_timestamp,
            "tx_hash": log.tx_hash,
            "log_index": log.log_index,
            "address": log.address,
            "topics": b"".join(log.topics),
            "data": log.data,
        }
        for log in logs
        if (log.block_hash, log.log_index) not in known
    ]
    if added:
        session.execute(insert(_LOGS), added)


def canonical_logs(
    session: Session, chain_id: int, above: int, up_to: int, *, address: Address | None = None
) -> list[RawLog]:
    """Logs of canonical blocks with above < number ≤ up_to, in the order of the chain; of one contract, or of all."""
    wanted = {"chain_id": chain_id, "above": above, "up_to": up_to}
    if address is None:
        rows = session.execute(_CANONICAL_LOGS, wanted)
    else:
        rows = session.execute(_CANONICAL_LOGS_OF, wanted | {"address": address})
    return [_log(row) for row in rows]


def final_point(session: Session, chain_id: int) -> FinalPoint | None:
    """How far the chain was final when it was last followed."""
    row = session.execute(_FINAL_POINT, {"chain_id": chain_id}).one_or_none()
    if row is None:
        return None
    return FinalPoint(
        number=row.number, hash=Hash32(row.hash), timestamp=Timestamp(row.timestamp), head_number=row.head_number
    )


def add_final_point(session: Session, chain_id: int, point: FinalPoint) -> None:
    """State anew how far the chain is final."""
    session.execute(
        insert(_FINALITY),
        {
            "chain_id": chain_id,
            "number": point.number,
            "hash": point.hash,
            "timestamp": point.timestamp,
            "head_number": point.head_number,
        },
    )


def add_reorg(session: Session, chain_id: int, reorg: Reorg) -> None:
    """Note that the chain left a branch."""
    session.execute(
        insert(_REORGS),
        {
            "chain_id": chain_id,
            "fork_number": reorg.fork_number,
            "left_number": reorg.left_number,
            "left_hash": reorg.left_hash,
            "final_number": reorg.final_number,
        },
    )


def lowest_broken_fork(session: Session, chain_id: int) -> int | None:
    """The lowest block a branch left from that had been final above it; None while finality was never broken."""
    found: int | None = session.execute(_LOWEST_BROKEN_FORK, {"chain_id": chain_id}).scalar_one()
    return found


def orphaned(session: Session, chain_id: int, hashes: Collection[Hash32]) -> set[Hash32]:
    """Those of the blocks that are followed no longer."""
    standings = _standings(session, chain_id, list(hashes))
    return {block_hash for block_hash in hashes if standings.get(block_hash) == ORPHANED}


def reorgs(session: Session, chain_id: int) -> list[Reorg]:
    """Every branch the chain left, oldest first."""
    rows = session.execute(select(_REORGS).where(_REORGS.c.chain_id == chain_id).order_by(_REORGS.c.seq))
    return [
        Reorg(
            fork_number=row.fork_number,
            left_number=row.left_number,
            left_hash=Hash32(row.left_hash),
            final_number=row.final_number,
        )
        for row in rows
    ]


def _standings(session: Session, chain_id: int, hashes: Sequence[Hash32]) -> dict[bytes, str]:
    standings: dict[bytes, str] = {}
    for chunk in _chunks(sorted(hashes)):
        rows = session.execute(_STANDINGS, {"chain_id": chain_id, "hashes": chunk})
        standings |= {row.hash: row.standing for row in rows}
    return standings


def _chunks(hashes: Sequence[Hash32]) -> list[Sequence[Hash32]]:
    """Pieces short enough for one statement's parameters on every engine."""
    return [hashes[at : at + 500] for at in range(0, len(hashes), 500)]


def _block(row: Row[Any]) -> FollowedBlock:
    return FollowedBlock(
        number=row.number,
        hash=Hash32(row.hash),
        parent_hash=Hash32(row.parent_hash),
        timestamp=Timestamp(row.timestamp),
    )


def _log(row: Row[Any]) -> RawLog:
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
