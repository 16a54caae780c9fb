"""Following the chain: what is final, what was believed and is gone, which events the books may take.

The last blocks down to the final one are linked by parent hash at every look. Of the blocks below, those
with events are kept too, so a chain that jumps thousands of empty blocks costs no rows. Orphaned blocks
get a new row, none is deleted, and a reorg is committed before anything is raised.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from ledger.chain.contracts.followed import Followed
from ledger.chain.contracts.logs import ChainEvent, FoundLog, decode_events, fetch_block_logs, fetch_logs, in_bloom
from ledger.chain.errors import ChainMovedError, FinalityBrokenError
from ledger.chain.node.anchor import final_anchor
from ledger.chain.node.connection import BATCH_CALLS, Block, Connection, Finality
from ledger.db import chain_log
from ledger.db.chain_log import CANONICAL, ORPHANED, FinalPoint, FollowedBlock, RawLog, Reorg
from ledger.db.engine import Database
from ledger.db.exclusion import exclusively
from ledger.db.faultpoint import faultpoint

BLOOMS_AT_MOST: Final = 20_000
"""Of so many blocks below the final one the own filters are looked at in one look; beyond, a range query is believed
and reconciliation compares the sums. Whoever follows at least every other day never gets there."""
_LOOKS: Final = 4
"""How often to start over when the chain moves while it is being read."""


class _MovedError(Exception):
    """Two answers of one look do not belong to the same chain."""


def sync(database: Database, connection: Connection, followed: Followed, finality: Finality) -> list[ChainEvent]:
    """Take in what happened since the last look; the events that became final, in the order of the chain.

    An event is returned once, but a crash between this call and the caller's own commit would lose it:
    callers that book events read `final_events` in the transaction they book in, by their own position.

    Raises FinalityBrokenError, once and after committing it, when blocks that were final are gone; the next
    call follows the new branch and returns its events. ChainMovedError when the chain does not hold still,
    ChainUnreachableError, WrongChainError, OtherGenesisError, HeldElsewhereError.
    """

    def look() -> list[ChainEvent]:
        connection.check_identity()
        for _ in range(_LOOKS):
            try:
                return _look(database, connection, followed, finality)
            except _MovedError:
                continue
        raise ChainMovedError(f"chain {connection.chain_id} changed {_LOOKS} times while it was read")

    with exclusively(database, f"follower/{connection.chain_id}"):
        return connection.in_one_look(look, final_anchor(database, connection.chain_id))


def final_events(
    database: Database, chain_id: int, followed: Followed, *, above: int, up_to: int | None = None
) -> list[ChainEvent]:
    """Final events of blocks above < number ≤ up_to (default: as far as the chain is final)."""
    with database.reading() as session:
        point = chain_log.final_point(session, chain_id)
        if point is None:
            return []
        end = point.number if up_to is None else min(up_to, point.number)
        logs = chain_log.canonical_logs(session, chain_id, above, end)
    return list(decode_events(chain_id, followed.contracts, logs))


def recent_events(database: Database, chain_id: int, followed: Followed) -> list[ChainEvent]:
    """Events that are mined and not final yet: to be shown, never booked."""
    with database.reading() as session:
        point = chain_log.final_point(session, chain_id)
        tip = chain_log.canonical_blocks(session, chain_id, limit=1)
        if point is None or not tip:
            return []
        logs = chain_log.canonical_logs(session, chain_id, point.number, tip[0].number)
    return list(decode_events(chain_id, followed.contracts, logs))


def _look(database: Database, connection: Connection, followed: Followed, finality: Finality) -> list[ChainEvent]:
    chain_id = connection.chain_id
    head = connection.head()
    with database.reading() as session:
        before = chain_log.final_point(session, chain_id)
        tip = chain_log.canonical_blocks(session, chain_id, limit=1)
    if tip and not _is_on_chain(connection, tip[0], head):
        if head.number < tip[0].number and _agrees_below(database, connection, head):
            return []  # a node that is behind, or was rolled back and has not moved on: nothing is known to be gone
        _leave_branch(database, connection, followed, before, head)
        with database.reading() as session:
            before = chain_log.final_point(session, chain_id)
            tip = chain_log.canonical_blocks(session, chain_id, limit=1)
    final = _final_block(connection, head, finality)
    start = max(followed.first_block, before.number + 1 if before is not None else 0)
    if final is None or head.number < start:
        return []
    tail = _linked_tail(connection, final, head)
    found = fetch_logs(connection, list(followed.contracts), start, head.number, proved_later=True)
    found = _with_hidden_logs(connection, followed, tail, start, found)
    blocks = _blocks_of(connection, found, tail)
    if connection.block(head.number).hash != head.hash or (tip and not _is_on_chain(connection, tip[0], head)):
        raise _MovedError
    return _store(database, connection, followed, before, head, final, list(blocks.values()), found)


def _store(
    database: Database,
    connection: Connection,
    followed: Followed,
    before: FinalPoint | None,
    head: Block,
    final: Block,
    blocks: Sequence[Block],
    found: Sequence[FoundLog],
) -> list[ChainEvent]:
    """One transaction: blocks, logs and the new final point."""
    chain_id = connection.chain_id
    by_hash = {block.hash: block for block in blocks}
    logs = [_raw(log, by_hash[log.block_hash]) for log in found]
    above = before.number if before is not None else followed.first_block - 1
    with database.transaction() as session:
        chain_log.add_blocks(session, chain_id, [_followed(block) for block in blocks], CANONICAL)
        chain_log.add_logs(session, chain_id, logs)
        if before is None or final.number > before.number:
            chain_log.add_final_point(session, chain_id, _point(final, head))
        faultpoint("follower.before_commit")
        new = chain_log.canonical_logs(session, chain_id, above, final.number)
    faultpoint("follower.after_commit")
    return list(decode_events(chain_id, followed.contracts, new))


def _leave_branch(
    database: Database, connection: Connection, followed: Followed, before: FinalPoint | None, head: Block
) -> None:
    """Orphan every followed block that is gone, commit, and raise when final ones are among them."""
    fork, left = _find_fork(database, connection, followed, head)
    reorg = Reorg(
        fork_number=fork.number,
        left_number=left[0].number,
        left_hash=left[0].hash,
        final_number=before.number if before is not None else followed.first_block - 1,
    )
    with database.transaction() as session:
        chain_log.add_blocks(session, connection.chain_id, left, ORPHANED)
        chain_log.add_reorg(session, connection.chain_id, reorg)
        if reorg.breaks_finality:
            # final again only up to the fork: events of the new branch are new
            point = FinalPoint(number=fork.number, hash=fork.hash, timestamp=fork.timestamp, head_number=left[0].number)
            chain_log.add_final_point(session, connection.chain_id, point)
        faultpoint("follower.reorg.before_commit")
    faultpoint("follower.reorg.after_commit")
    if reorg.breaks_finality:
        raise FinalityBrokenError(
            f"blocks {fork.number + 1} … {reorg.final_number} of chain {connection.chain_id} were final and are gone"
        )


def _find_fork(
    database: Database, connection: Connection, followed: Followed, head: Block
) -> tuple[FollowedBlock, list[FollowedBlock]]:
    """The highest followed block that is still on the chain, and those above it, highest first."""
    left: list[FollowedBlock] = []
    up_to: int | None = None
    while True:
        with database.reading() as session:
            believed = chain_log.canonical_blocks(session, connection.chain_id, up_to)
        for block in believed:
            if _is_on_chain(connection, block, head):
                return block, left
            left.append(block)
        if not believed:
            break
        up_to = believed[-1].number - 1
    return _followed(connection.block(max(0, followed.first_block - 1))), left


def _agrees_below(database: Database, connection: Connection, head: Block) -> bool:
    """Whether the highest followed block that the node could have is the one it has."""
    with database.reading() as session:
        below = chain_log.canonical_blocks(session, connection.chain_id, head.number, limit=1)
    return not below or _is_on_chain(connection, below[0], head)


def _is_on_chain(connection: Connection, block: FollowedBlock, head: Block) -> bool:
    """Whether the node has this very block. Only another block in its place, or a shorter chain, says no:
    a node that cannot answer proves nothing, and raises BlockMissingError."""
    if block.number > head.number:
        return False
    return connection.block(block.number).hash == block.hash


def _final_block(connection: Connection, head: Block, finality: Finality) -> Block | None:
    """The final block as seen from this head, not from one that arrived meanwhile."""
    if finality.finalized_tag:
        found = connection.find_block("finalized")
        return found if found is None or found.number <= head.number else head
    number = head.number - finality.depth
    return connection.find_block(number) if number >= 0 else None


def _linked_tail(connection: Connection, final: Block, head: Block) -> list[Block]:
    """All blocks from the final one to the head, each the parent of the next."""
    tail = connection.blocks(range(final.number, head.number + 1))
    if tail[0].hash != final.hash or tail[-1].hash != head.hash:
        raise _MovedError
    for parent, child in pairwise(tail):
        if child.parent_hash != parent.hash:
            raise _MovedError
    return tail


def _with_hidden_logs(
    connection: Connection, followed: Followed, tail: Sequence[Block], start: int, found: Sequence[FoundLog]
) -> list[FoundLog]:
    """The logs of every block whose own filter speaks of our contracts, asked for block by block and proved complete.

    A node whose log index lags answers a range with nothing, or a part, and no error; the event would never be booked.
    Where the filter is silent, a log that was found all the same stands as it is.
    """
    final, proved = tail[0].number, set[int]()
    known: list[FoundLog] = []
    early = range(max(start, final - BLOOMS_AT_MOST), final)
    for at in range(0, len(early), BATCH_CALLS):
        for block in connection.blocks(early[at : at + BATCH_CALLS]):
            known += _proved_block(connection, followed, block, proved)
    heard = {log.block_number for log in found}
    for block in tail:
        # above the final block what is heard is shown only, and proved when it becomes final
        if block.number >= start and (block.number <= final or block.number not in heard):
            known += _proved_block(connection, followed, block, proved)
    known += [log for log in found if log.block_number not in proved]
    return sorted(known, key=lambda log: (log.block_number, log.log_index))


def _proved_block(connection: Connection, followed: Followed, block: Block, proved: set[int]) -> list[FoundLog]:
    if not _may_mention(block, followed):
        return []
    proved.add(block.number)
    return [log for log in fetch_block_logs(connection, block) if log.address in followed.contracts]


def _may_mention(block: Block, followed: Followed) -> bool:
    return any(in_bloom(block.logs_bloom, address) for address in followed.contracts)


def _blocks_of(connection: Connection, found: Sequence[FoundLog], tail: Sequence[Block]) -> dict[int, Block]:
    """The tail and every block with a log, by number; a log whose block is another one shows that the chain moved."""
    blocks = {block.number: block for block in tail}
    missing = sorted({log.block_number for log in found} - blocks.keys())
    blocks |= {block.number: block for block in connection.blocks(missing)}
    if any(blocks[log.block_number].hash != log.block_hash for log in found):
        raise _MovedError
    return dict(sorted(blocks.items()))


def _point(final: Block, head: Block) -> FinalPoint:
    return FinalPoint(number=final.number, hash=final.hash, timestamp=final.timestamp, head_number=head.number)


def _followed(block: Block) -> FollowedBlock:
    return FollowedBlock(number=block.number, hash=block.hash, parent_hash=block.parent_hash, timestamp=block.timestamp)


def _raw(log: FoundLog, block: Block) -> RawLog:
    return RawLog(
        block_number=log.block_number,
        block_hash=log.block_hash,
        block_timestamp=block.timestamp,
        tx_hash=log.tx_hash,
        log_index=log.log_index,
        address=log.address,
        topics=log.topics,
        data=log.data,
    )
