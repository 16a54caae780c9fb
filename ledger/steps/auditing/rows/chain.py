"""What was followed of the chain: blocks that link, logs that decode, and the entries that were booked from them."""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference, shown
from ledger.books.log_entries import ChainPoint, claim_entry, retirement_entry
from ledger.books.posting import Chain, EntryKind, Posting, entry_bytes
from ledger.books.verify import JournalEntry
from ledger.chain.contracts.logs import ChainEvent, decode_events, fetch_logs
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.following.governed import policies
from ledger.chain.node.connection import Block, Connection
from ledger.db import chain_log, journal
from ledger.db.chain_log import CANONICAL, ORPHANED
from ledger.db.tables.policies import PolicyRow
from ledger.db.tables.settlement import ChainBlock, ChainFinality, ChainLog, ChainReorg
from ledger.model.units import Address, Hash32, MicrogramsCo2e, Wei, to_hex
from ledger.steps.auditing.rows.faults import absent, foreign, unequal
from ledger.tree.canonical import parse_canonical

MICROGRAMS_PER_GRAM = 10**6
_BOOKED = {"EpochActivated": "activation", "Claimed": "claim", "CarbonRetired": "retirement"}


def block_faults(session: Session, deployment: Deployment) -> Iterator[Difference]:
    """`chain_blocks`, in the order they were noted: each links to the one below, as far as that is here."""
    rows = list(session.execute(select(ChainBlock).order_by(ChainBlock.seq)).scalars())
    said: dict[bytes, ChainBlock] = {}
    standing: dict[int, ChainBlock] = {}
    for row in rows:
        name = f"chain_blocks, seq {row.seq}"
        yield from unequal(name, {"chain_id": deployment.chain_id}, row)
        before = said.setdefault(bytes(row.hash), row)
        same = {"number": before.number, "parent_hash": before.parent_hash, "timestamp": before.timestamp}
        yield from unequal(name, same, row)
        if row.standing == CANONICAL:
            standing[row.number] = row
        elif standing.get(row.number) is not None and standing[row.number].hash == row.hash:
            del standing[row.number]
        else:
            yield Difference(where=f"{name} · standing", expected="a block that was believed", found=row.standing)
    last = None
    for number in sorted(standing):
        row = standing[number]
        name = f"chain_blocks, seq {row.seq}"
        if last is not None and last.number == number - 1:
            yield from unequal(name, {"parent_hash": last.hash}, row)
        if last is not None and row.timestamp < last.timestamp:
            yield Difference(
                where=f"{name} · timestamp", expected=f"from {last.timestamp} on", found=str(row.timestamp)
            )
        last = row
    yield from _finality_faults(session, deployment, said)
    yield from _reorg_faults(session, deployment, rows)


def log_faults(session: Session, deployment: Deployment) -> Iterator[Difference]:
    """`chain_logs`: each lies in a block that is here; what was booked is what they say, and all of it was booked."""
    blocks = {bytes(row.hash): row for row in session.execute(select(ChainBlock)).scalars()}
    for row in session.execute(select(ChainLog).order_by(ChainLog.seq)).scalars():
        name = f"chain_logs, seq {row.seq}"
        block = blocks.get(bytes(row.block_hash))
        if block is None:
            yield Difference(where=f"{name} · block_hash", expected="a followed block", found=to_hex(row.block_hash))
            continue
        expected = {
            "chain_id": deployment.chain_id, "block_number": block.number, "block_timestamp": block.timestamp,
        }  # fmt: skip
        yield from unequal(name, expected, row)
        if Address(row.address) not in deployment.followed.contracts:
            yield Difference(where=f"{name} · address", expected="a followed contract", found=to_hex(row.address))
    point = chain_log.final_point(session, deployment.chain_id)
    if point is None:
        return
    logs = chain_log.canonical_logs(session, deployment.chain_id, -1, point.number)
    events = list(decode_events(deployment.chain_id, deployment.followed.contracts, logs))
    yield from _booking_faults(session, events)


def said_by_chain(session: Session, connection: Connection, deployment: Deployment) -> Iterator[Difference]:
    """Every followed log up to the last final point, against what the chain has there now."""
    point = chain_log.final_point(session, deployment.chain_id)
    if point is None:
        return
    block = connection.find_block(point.number)
    if block is None or block.hash != point.hash or block.timestamp != point.timestamp:
        found = "absent" if block is None else to_hex(block.hash)
        yield Difference(where=f"chain_finality, block {point.number}", expected=found, found=to_hex(point.hash))
        return
    yield from _policy_faults(session, connection, deployment, block)
    followed, first = deployment.followed, deployment.first_block
    theirs = {
        (log.block_hash, log.log_index): (log.tx_hash, log.address, log.topics, log.data)
        for log in fetch_logs(connection, list(followed.contracts), first, point.number)
    }
    ours = {
        (log.block_hash, log.log_index): (log.tx_hash, log.address, log.topics, log.data)
        for log in chain_log.canonical_logs(session, deployment.chain_id, -1, point.number)
    }
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            where = f"chain_logs, block {to_hex(key[0])} log {key[1]}"
            yield Difference(where=where, expected=shown(theirs.get(key))[:300], found=shown(ours.get(key))[:300])


def _policy_faults(session: Session, connection: Connection, deployment: Deployment, at: Block) -> Iterator[Difference]:
    """`policies`: the block of the announcement, which nothing but the chain says again."""
    announced = {each.version: each for each in policies(connection, deployment, at).announced}
    for row in session.execute(select(PolicyRow).order_by(PolicyRow.version)).scalars():
        each = announced.get(row.version)
        if each is None:
            yield foreign(f"policies, version {row.version}", "no such announcement")
        else:
            expected = {"block": each.scheduled_block, "effective_epoch": each.effective_epoch}
            yield from unequal(f"policies, version {row.version}", expected, row)


def _finality_faults(session: Session, deployment: Deployment, blocks: dict[bytes, ChainBlock]) -> Iterator[Difference]:
    last: ChainFinality | None = None
    for row in session.execute(select(ChainFinality).order_by(ChainFinality.seq)).scalars():
        name = f"chain_finality, seq {row.seq}"
        yield from unequal(name, {"chain_id": deployment.chain_id}, row)
        block = blocks.get(bytes(row.hash))
        if block is None:
            yield Difference(where=f"{name} · hash", expected="a followed block", found=to_hex(row.hash))
        else:
            yield from unequal(name, {"number": block.number, "timestamp": block.timestamp}, row)
        if row.head_number < row.number:
            yield Difference(
                where=f"{name} · head_number", expected=f"from {row.number} on", found=str(row.head_number)
            )
        last = row
    booked = journal.last_booked_block(session)
    if booked > (0 if last is None else last.number):
        yield Difference(
            where="chain_finality · end", expected=f"block {booked} or later", found=str(last and last.number)
        )


def _reorg_faults(session: Session, deployment: Deployment, blocks: list[ChainBlock]) -> Iterator[Difference]:
    orphaned = {bytes(row.hash): row for row in blocks if row.standing == ORPHANED}
    covered: set[bytes] = set()
    for row in session.execute(select(ChainReorg).order_by(ChainReorg.seq)).scalars():
        name = f"chain_reorgs, seq {row.seq}"
        yield from unequal(name, {"chain_id": deployment.chain_id}, row)
        tip = orphaned.get(bytes(row.left_hash))
        if tip is None:
            yield Difference(where=f"{name} · left_hash", expected="a block that was left", found=to_hex(row.left_hash))
            continue
        yield from unequal(name, {"left_number": tip.number}, row)
        branch = {hash_: each for hash_, each in orphaned.items() if row.fork_number < each.number <= row.left_number}
        lowest = min((each.number for each in branch.values()), default=row.left_number)
        # below the final block only blocks with events are followed: the lowest that was left may be far above the fork
        if lowest != row.fork_number + 1 and row.final_number <= row.fork_number:
            yield Difference(where=f"{name} · fork_number", expected=str(lowest - 1), found=str(row.fork_number))
        covered |= branch.keys()
    for hash_ in sorted(orphaned.keys() - covered):
        yield absent(f"chain_reorgs, that left block {to_hex(hash_)}")


def _booking_faults(session: Session, events: list[ChainEvent]) -> Iterator[Difference]:
    booked = {
        f"{body['at']['transaction']}/{body['at']['log']} in block {body['at']['blockHash']}": entry
        for entry in journal.entries(session, chain=Chain.LOG)
        if entry.kind in (EntryKind.ACTIVATION, EntryKind.CLAIM, EntryKind.RETIREMENT)
        for body in [parse_canonical(entry.canonical)["body"]]
    }
    for event in events:
        if event.name not in _BOOKED:
            continue
        key = f"{to_hex(event.tx_hash)}/{event.log_index} in block {to_hex(event.block_hash)}"
        entry = booked.pop(key, None)
        if entry is not None:
            yield from _entry_faults(event, entry)
        elif event.block_number <= journal.last_booked_block(session):
            yield foreign(f"chain_logs, {event.name} {key}", "an event that nobody booked")
    for key, entry in sorted(booked.items()):
        if journal.find(session, f"reversal/{entry.key}") is None:
            yield absent(f"chain_logs, {key}, booked as {entry.key}")


def _entry_faults(event: ChainEvent, entry: JournalEntry) -> Iterator[Difference]:
    """The entry, made again from the event; of an activation what the event says of it."""
    values, at = event.arguments, _point(event)
    where = f"chain_logs, {event.name} {to_hex(event.tx_hash)}/{event.log_index}"
    posting: Posting | None = None
    if event.name == "Claimed":
        posting = claim_entry(
            account=Address(values["account"]), payee=Address(values["payee"]), amount_wei=Wei(values["amount"]),
            cumulative_wei=Wei(values["cumulative"]), at=at,
        )  # fmt: skip
    elif event.name == "CarbonRetired":
        posting = retirement_entry(
            retired_ug=MicrogramsCo2e(values["grams"] * MICROGRAMS_PER_GRAM), payment_wei=Wei(values["payment"]),
            supplier=Address(values["supplier"]), certificate_hash=Hash32(values["certificate_hash"]),
            uri=str(values["uri"]), at=at,
        )  # fmt: skip
    if posting is not None:
        posting = replace(posting, key=entry.key)  # booked anew after a reorganisation it stands under a next key
        if entry_bytes(posting.content(), entry.number).canonical != entry.canonical:
            yield Difference(where=where, expected=f"what {entry.key} says", found="another event")
        return
    body = parse_canonical(entry.canonical)["body"]
    told = {"epoch": values["epoch"], "headerHash": to_hex(values["header_hash"]), "at": at.body()}
    if any(body[name] != value for name, value in told.items()) or entry.effective_at != event.block_timestamp:
        yield Difference(where=where, expected=f"what {entry.key} says", found="another event")


def _point(event: ChainEvent) -> ChainPoint:
    return ChainPoint(
        chain_id=event.chain_id, block=event.block_number, block_hash=event.block_hash,
        block_time=event.block_timestamp, transaction=event.tx_hash, log=event.log_index,
    )  # fmt: skip
