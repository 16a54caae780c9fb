"""What must be true: on every step that rows only grow and nonces have no gap, at the end that nothing is lost,
doubled or divergent, and that the books are what the chain says.

Each violation names its oracle. The chain's side is read from the simulated chain itself, never through the ledger's
own reading of it.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference
from ledger.books.accounts import (
    CARBON_HELD,
    CARBON_OWED,
    CARBON_PAID_FOR,
    EMISSION,
    RESERVE_PAID,
    ROLLOVER,
    claimed,
    payable,
    pending,
)
from ledger.books.posting import Chain as JournalChain
from ledger.books.posting import EntryKind
from ledger.db import epochs, journal, outbox
from ledger.db.outbox_entry import SETTLED_STATES, OutboxState
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.auditing.rows.chain import block_faults, log_faults
from ledger.steps.auditing.rows.epochs import event_faults as epoch_event_faults
from ledger.steps.auditing.rows.outbox import event_faults as outbox_event_faults
from ledger.steps.recorded.sealed import header_of, standing_header
from ledger.tree.canonical import parse_canonical
from ledger.tree.commitments import header_hash

from . import stage
from .chain import Block, Log
from .scenario import Scenario

if TYPE_CHECKING:
    from .world import World

_UNSENT = {OutboxState.PLANNED, OutboxState.SIGNED, OutboxState.BROADCAST}
"""Effects still to come. An empty transaction for a needless call may wait for the next epoch: it moves nothing."""
_TABLES = ("journal_entries", "transfers", "outbox_intents", "outbox_attempts", "outbox_events", "chain_blocks",
           "chain_logs", "chain_finality", "chain_reorgs", "epoch_events", "artefacts")  # fmt: skip
_COUNTS = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in _TABLES)
_NONCES = (
    "SELECT max(nonce) - min(nonce) + 1 - count(*), min(nonce) - (SELECT first_nonce FROM outbox_senders AS owner"
    " WHERE owner.sender = outbox_intents.sender) FROM outbox_intents GROUP BY sender"
)


class ViolationError(Exception):
    """A promise of the ledger is broken in this run."""

    def __init__(self, oracle: str, what: str) -> None:
        super().__init__(f"{oracle}: {what}")
        self.oracle = oracle


@dataclass(slots=True)
class Grown:
    """What was there at the last look must be there at the next."""

    counts: tuple[int, ...] = field(default=(0,) * len(_TABLES))
    head: tuple[int, bytes] = (0, b"")
    changes: int = -1
    """How many rows the only connection there is had ever changed, at the last look."""

    def check(self, database: sqlite3.Connection) -> None:
        """Raise ViolationError `shrunk`, `rewritten` or `nonces`."""
        if database.total_changes == self.changes:
            return  # not a row was touched since
        self.changes = database.total_changes
        counts = database.execute(_COUNTS).fetchone()
        if any(now < before for now, before in zip(counts, self.counts, strict=True)):
            raise ViolationError("shrunk", f"{dict(zip(_TABLES, counts, strict=True))}, before {self.counts}")
        seq, kept = self.head
        if seq and database.execute("SELECT hash FROM journal_entries WHERE seq = ?", (seq,)).fetchone() != (kept,):
            raise ViolationError("rewritten", f"journal entry {seq} changed")
        if counts[0] > self.counts[0]:
            self.head = database.execute("SELECT seq, hash FROM journal_entries ORDER BY seq DESC LIMIT 1").fetchone()
        if counts[2] > self.counts[2] and any(gap or start for gap, start in database.execute(_NONCES)):
            raise ViolationError("nonces", "the planned nonces of an account have a gap")
        self.counts = counts


def is_drained(world: "World") -> bool:
    """Whether there is nothing left to do: epochs final, every effect settled, every event of the chain booked."""
    with world.database.reading() as session:
        states = {each.epoch: each.state for each in epochs.all_standings(session)}
        if any(states.get(EpochNumber(epoch)) is not EpochState.FINAL for epoch in range(world.scenario.epochs)):
            return False
        open_entries = [
            each
            for each in outbox.entries(session, stage.CHAIN_ID)
            if each.state in _UNSENT and each.sender == stage.PUBLISHER
        ]
        missing, _ = _differences(world, session)
    state = world.chain.head.state
    taken = all(state.claimed.get(who, 0) == world.people.earned(who) for who in world.people.claimants)
    # a stranger whose earlier transaction left with a block never fills the gap: that is nobody's work here
    waiting = any(sent.sender != stage.STRANGER for sent in world.chain.pool.values())
    return not open_entries and not missing and not waiting and taken


def standing(world: "World") -> str:
    """Where a run that does not drain stands."""
    with world.database.reading() as session:
        states = [f"epoch {each.epoch} {each.state} {each.reason}" for each in epochs.all_standings(session)]
        entries = [f"{each.key} {each.state}" for each in outbox.entries(session, stage.CHAIN_ID)]
    return f"{'; '.join(states)} | {', '.join(entries)} | pool {len(world.chain.pool)}"


def check_end(world: "World") -> None:
    """All oracles of the end, the first broken one raised."""
    with world.database.reading() as session:
        _check_effects(world, session)
        _check_booked(world, session)
        _check_balances(world, session)
        journal.verify_journal(session)
        _check_audit(world, session)
        found = final_bytes(world, session)
        revoked = tuple(
            epoch for epoch in range(world.scenario.epochs) if epochs.current(session, EpochNumber(epoch)).attempt > 1
        )
    if world.is_undisturbed:
        return
    wanted = undisturbed(world.scenario.epochs, revoked[0] if revoked else None, world.scenario.claimants)
    for name, value in wanted.items():
        if found[name] != value:
            raise ViolationError("divergent", f"{name}: {found[name]!r:.300}, undisturbed {value!r:.300}")


def _check_effects(world: "World", session: Session) -> None:
    """Every planned effect is on the canonical chain exactly once."""
    chain = world.chain
    mined = Counter((sent.sender, sent.nonce) for block in chain.blocks[world.history :] for sent in block.transactions)
    if twice := [place for place, count in mined.items() if count > 1]:
        raise ViolationError("doubled", f"nonces used twice: {twice}")
    for entry in outbox.entries(session, stage.CHAIN_ID):
        attempts = outbox.attempts(session, entry)
        there = [attempt for attempt in attempts if attempt.tx_hash in chain.at]
        if len(there) > 1:
            raise ViolationError("doubled", f"{entry.key} is mined {len(there)} times")
        if entry.state in SETTLED_STATES and not there:
            raise ViolationError("lost", f"{entry.key} is {entry.state} and not on the chain")
        if there and entry.state is OutboxState.FINAL:
            block = chain.at[there[0].tx_hash]
            if not block.succeeded[there[0].tx_hash] or block.hash != entry.block_hash:
                raise ViolationError("lost", f"{entry.key} is final in another block than the chain's, or reverted")
    entries = outbox.entries(session, stage.CHAIN_ID, stage.PUBLISHER)
    planned = sum(1 for entry in entries if entry.state is not OutboxState.VOIDING)
    if chain.head.nonces.get(stage.PUBLISHER, 0) != planned:
        raise ViolationError("doubled", f"{planned} effects planned, {chain.head.nonces.get(stage.PUBLISHER)} sent")
    for epoch in range(world.scenario.epochs):
        attempts_made = epochs.current(session, EpochNumber(epoch)).attempt
        counted = {
            name: sum(log.values["epoch"] == epoch for _, log in _events(world, name))
            for name in ("EpochProposed", "EpochRevoked", "EpochActivated")
        }
        if counted != {"EpochProposed": attempts_made, "EpochRevoked": attempts_made - 1, "EpochActivated": 1}:
            raise ViolationError("doubled", f"epoch {epoch} in attempt {attempts_made} has on chain {counted}")


def _check_booked(world: "World", session: Session) -> None:
    """Every claim and activation of the chain is in the books exactly once, and nothing else is."""
    missing, needless = _differences(world, session)
    if missing:
        raise ViolationError("lost", f"on chain and not in the books: {missing}")
    if needless:
        raise ViolationError("doubled", f"in the books and not on chain: {needless}")


def _differences(world: "World", session: Session) -> tuple[list[Any], list[Any]]:
    """What the chain has and the books have not, and the other way round; what was taken back does not count."""
    undone = {
        parse_canonical(each.canonical)["body"].get("undoes")
        for each in journal.entries(session, chain=JournalChain.LOG, kind=EntryKind.REVERSAL)
    }
    booked = Counter(
        (kind.value, at["transaction"], at["block"], at["blockHash"], at["log"])
        for kind in (EntryKind.CLAIM, EntryKind.ACTIVATION)
        for each in journal.entries(session, kind=kind)
        if each.key not in undone
        for at in [parse_canonical(each.canonical)["body"]["at"]]
    )
    there = Counter(
        (kind.value, to_hex(log.tx_hash), block.number, to_hex(block.hash), log.log_index)
        for kind, event in ((EntryKind.CLAIM, "Claimed"), (EntryKind.ACTIVATION, "EpochActivated"))
        for block, log in _events(world, event)
    )
    return list(there - booked), list(booked - there)


def _check_balances(world: "World", session: Session) -> None:
    """Trial balance zero; each account is what the chain says of it."""
    state = world.chain.head.state
    balances = journal.balances(session)
    sheet = journal.trial_balance(session)
    if list(sheet.violations):
        raise ViolationError("books", f"trial balance: {list(sheet.violations)}")
    owed, paid_for, received = state.carbon_through.get(world.scenario.epochs - 1, (0, 0, 0))
    wanted = {
        ROLLOVER: state.rollover,
        EMISSION: -sum(stage.totals(epoch, 0, 0).budget_wei for epoch in range(world.scenario.epochs)),
        RESERVE_PAID: state.balances.get(stage.RESERVE, 0),
        CARBON_HELD: received,
        CARBON_OWED: owed - paid_for,
        CARBON_PAID_FOR: paid_for,
    }
    for who in stage.OPERATORS:
        earned = world.people.earned(who)
        wanted[claimed(who)] = state.claimed.get(who, 0)
        wanted[payable(who)] = earned - state.claimed.get(who, 0)
        wanted[pending(who)] = 0
        if state.balances.get(who, 0) != state.claimed.get(who, 0):
            raise ViolationError("doubled", f"{to_hex(who)} was paid {state.balances.get(who, 0)}")
    found = {account: balances[account].net if account in balances else 0 for account in wanted}
    if found != wanted:
        wrong = {account: (found[account], wanted[account]) for account in wanted if found[account] != wanted[account]}
        raise ViolationError("books", f"in the books and on chain: {wrong}")
    last = standing_header(session, EpochNumber(world.scenario.epochs - 1))
    if header_hash(last) != state.last_hash:
        raise ViolationError("divergent", "the chain's last header is not the one in the books")


def _check_audit(world: "World", session: Session) -> None:
    """The ledger's own audit of its rows finds no difference; signatures are left out, for there are none here."""
    deployment = stage.deployment(world.scenario.depth)
    audits: list[Iterable[Difference]] = [
        block_faults(session, deployment),
        log_faults(session, deployment),
        epoch_event_faults(world.open_ledger(), session),
        outbox_event_faults(session),
    ]
    found = [str(difference) for audit in audits for difference in audit]
    if found:
        raise ViolationError("audit", f"{len(found)} differences, first {found[0]}")


def final_bytes(world: "World", session: Session) -> dict[str, Any]:
    """What must be the same however a scenario was played.

    A reversal names the block it was decided in, and what is sealed after it hashes that: there, keys, bodies and
    transfers are compared without what a block decides.
    """
    entries = journal.entries(session, chain=JournalChain.SEAL)
    headers = [header_of(session, EpochNumber(epoch)) for epoch in range(world.scenario.epochs)]
    # nets: a fact that moved to another block was booked, undone and booked anew
    nets = {account: balance.net for account, balance in journal.balances(session).items() if balance.net}
    is_exact = not any(each.kind is EntryKind.REVERSAL for each in entries)
    if is_exact:
        return {
            "seal chain": [each.canonical for each in entries],
            "headers": headers,
            "balances": nets,
        }
    of_blocks = {"manifestHash", "reason", "reverses"}
    return {
        "seal chain": [
            (
                each.key,
                {key: value for key, value in parse_canonical(each.canonical)["body"].items() if key not in of_blocks},
                journal.transfers(session, each.seq),
            )
            for each in entries
        ],
        "headers": [
            (header.epoch, header.claim_root, header.payout, header.carbon, header.reserve, header.rollover)
            for header in headers
        ],
        "balances": nets,
    }


@cache
def undisturbed(epoch_count: int, revoked: int | None, claimants: int) -> dict[str, Any]:
    """The final bytes of a scenario that is played without any fault."""
    from .world import World

    world = World(0, scenario=Scenario(epochs=epoch_count, revoked=revoked, claimants=claimants), undisturbed=True)
    world.run()
    with world.database.reading() as session:
        return final_bytes(world, session)


def _events(world: "World", name: str) -> list[tuple[Block, Log]]:
    return [(block, log) for block in world.chain.blocks[world.history :] for log in block.logs if log.event == name]
