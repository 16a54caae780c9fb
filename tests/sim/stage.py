"""What every run starts from: contracts, a chain with their history, and a migrated database with frozen epochs.

Made once per process and copied. The epochs are over and frozen by the real step before anything goes wrong, so roles
blocks lie deeper than any reorganisation and every run must end in the same headers. Left out: evidence and rules;
`computed` records made-up results in their place, in the same transaction as the real step.
"""

import json
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from ledger.chain.contracts.artefacts import ALL_CONTRACTS
from ledger.chain.contracts.interface import ContractInterface
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.sending.signer import SignedTransaction, Transaction
from ledger.db import epochs, migrations
from ledger.db import policies as policy_rows
from ledger.db.engine import open_database
from ledger.db.faultpoint import faultpoint
from ledger.demo.tables import default_policy, demo_tables
from ledger.model.allocation import Totals
from ledger.model.epoch import EpochState
from ledger.model.policy import Tables
from ledger.model.units import Address, EpochNumber, MicrogramsCo2e, Timestamp, Wei, to_hex
from ledger.rules.statements import OperatorTotal
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.totals import opening_of
from ledger.steps.transitions.transition import Moved, StepResult
from ledger.tree.commitments import policy_hash, tables_hash
from ledger.tree.keccak import keccak256

from .chain import Block, Chain, as_log, raw_bytes
from .contract import Model
from .rpc import code_at

CHAIN_ID: Final = 4242
GENESIS: Final = Timestamp(1_686_787_200)
EPOCH_LENGTH: Final = 4 * 3600
WINDOW: Final = 40
ATH: Final = 10**18


def account(name: str) -> Address:
    """An account of the scene, by its name."""
    return Address(keccak256(name.encode())[:20])


ADDRESSES: Final = {name: account(name) for name in ALL_CONTRACTS}
OPERATORS: Final = tuple(sorted(account(f"operator {number}") for number in range(5)))
PUBLISHER, GUARDIAN, GOVERNOR = account("publisher"), account("guardian"), account("governor")
TREASURY, RESERVE, STRANGER = account("treasury"), account("reserve"), account("stranger")


class SimSigner:
    """Signs without a curve: the sender stands in the bytes."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def sign(self, transaction: Transaction) -> SignedTransaction:
        """The same transaction always gives the same bytes."""
        raw = raw_bytes(
            self.address,
            transaction.nonce,
            transaction.to or Address(bytes(20)),
            transaction.max_fee_per_gas_wei,
            transaction.max_priority_fee_per_gas_wei,
            transaction.calldata,
        )
        return SignedTransaction(raw=raw, tx_hash=keccak256(raw))


@cache
def _tables() -> Tables:
    whole = demo_tables()
    return Tables(
        rules_version=whole.rules_version,
        models=dict(list(whole.models.items())[:1]),
        zones=dict(list(whole.zones.items())[:1]),
    )


@cache
def _policy() -> Any:
    return default_policy(_tables(), epoch_budget_wei=Wei(1000 * ATH))


@cache
def history(epoch_count: int) -> Chain:
    """A chain up to the cut-off of that many epochs and ten minutes more: a block an hour, one with the policy."""
    end = _cut_off(epoch_count)
    rng = random.Random(epoch_count)
    state = Model(
        ledger=ADDRESSES["RewardsLedger"], token=ADDRESSES["AthToken"], vault=ADDRESSES["CarbonVault"],
        treasury=TREASURY, reserve=RESERVE, genesis=GENESIS, epoch_length=EPOCH_LENGTH, window=WINDOW,
        roles={"publisher": PUBLISHER, "guardian": GUARDIAN, "governor": GOVERNOR},
        policy=_policy(), policy_hash=policy_hash(_policy()), balances={TREASURY: 10**9 * ATH},
    )  # fmt: skip
    emitted = [
        ("PolicyScheduled", {"version": 1, "effectiveEpoch": 0, "hash": policy_hash(_policy()), "policy": _policy()}),
    ]
    logs = tuple(
        as_log(name, values, keccak256(b"deployment"), ADDRESSES, at) for at, (name, values) in enumerate(emitted)
    )
    blocks: list[Block] = []
    for number, timestamp in enumerate([*range(GENESIS - 6 * 3600, end, 3600), *range(end, end + 600, 60)]):
        blocks.append(
            Block(
                number=number,
                hash=keccak256(b"history" + number.to_bytes(8, "big")),
                parent_hash=blocks[-1].hash if blocks else keccak256(b"nothing"),
                timestamp=timestamp,
                base_fee=10**9,
                transactions=(),
                succeeded={},
                logs=logs if number == 1 else (),
                state=state,
                nonces={},
            )
        )
    return Chain(rng=rng, addresses=ADDRESSES, blocks=blocks)


def start_of_run(epoch_count: int) -> int:
    """The second a run begins."""
    return _cut_off(epoch_count) + 600


def _cut_off(epoch_count: int) -> int:
    return GENESIS + epoch_count * EPOCH_LENGTH + 24 * 3600


@cache
def deployment(finality_depth: int) -> Deployment:
    """The contracts as the ledger knows them."""
    return Deployment(
        chain_id=CHAIN_ID, genesis_hash=history(1).blocks[0].hash, first_block=1, addresses=ADDRESSES,
        code_hashes={name: keccak256(code_at(address)) for name, address in ADDRESSES.items()},
        genesis=GENESIS, epoch_length=EPOCH_LENGTH, window=WINDOW, finality_depth=finality_depth,
        treasury=TREASURY, reserve=RESERVE, deployer=account("deployer"),
    )  # fmt: skip


@cache
def folder() -> Path:
    """Where lock files and artefacts of this process lie: in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    kept = tempfile.TemporaryDirectory(prefix="ath-sim-", dir=memory if memory.is_dir() else None)
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: Final[list[Any]] = []


@cache
def live() -> sqlite3.Connection:
    """The database of this process's runs, one after the other."""
    made = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    for statement in ("PRAGMA foreign_keys = ON", "PRAGMA recursive_triggers = ON"):
        made.execute(statement)
    return made


@cache
def engine() -> Engine:
    """One engine for all runs, over one database in memory, so that statements are compiled once a process.

    Without event hooks, for one is paid for at every statement: the dialect itself begins. There is one connection, so
    how a transaction locks makes no difference.
    """
    made = _over_live()
    made.dialect.do_begin = lambda connection: connection.execute("BEGIN IMMEDIATE")
    return made


@cache
def reading_engine() -> Engine:
    """The same database to be read: exactly one worker moves at a time, so a snapshot need not be begun and ended."""
    made = _over_live()
    made.dialect.do_begin = made.dialect.do_commit = made.dialect.do_rollback = lambda connection: None
    return made


def _over_live() -> Engine:
    return create_engine(
        f"sqlite:///{folder()}/sim.sqlite", creator=live, poolclass=StaticPool, pool_reset_on_return=None
    )


@cache
def _migrated() -> sqlite3.Connection:
    """An empty ledger of this version, guards included."""
    file = folder() / "migrated.sqlite"
    database = open_database(f"sqlite:///{file}", create=True)
    migrations.upgrade(database)
    database.close()
    kept = sqlite3.connect(":memory:", check_same_thread=False)
    on_disk = sqlite3.connect(file)
    on_disk.backup(kept)
    on_disk.close()
    return kept


_FROZEN: Final[dict[int, sqlite3.Connection]] = {}


def artefacts_of(epoch_count: int) -> Path:
    """The files of the frozen epochs, to be copied."""
    return folder() / f"frozen-{epoch_count}"


def lay_out(epoch_count: int, run_folder: Path, open_ledger: Callable[[Path], Ledger]) -> None:
    """Give the process's database and a run's folder fresh copies of that many frozen epochs.

    `open_ledger` opens a ledger with its files in a folder, undisturbed.
    """
    engine().connect().close()
    if epoch_count not in _FROZEN:
        _migrated().backup(live())
        _freeze(epoch_count, open_ledger(artefacts_of(epoch_count)))
        kept = sqlite3.connect(":memory:", check_same_thread=False)
        live().backup(kept)
        _FROZEN[epoch_count] = kept
    _FROZEN[epoch_count].backup(live())
    shutil.copytree(artefacts_of(epoch_count), run_folder)


def _freeze(epoch_count: int, ledger: Ledger) -> None:
    from ledger.steps.drive import state_of
    from ledger.steps.transitions.freeze import freeze

    with ledger.database.transaction() as session:
        digest = policy_rows.record_tables(session, _tables(), recorded_at=GENESIS)
    assert digest == tables_hash(_tables())
    for number in range(epoch_count):
        state_of(ledger, EpochNumber(number))
        result = freeze(ledger, EpochNumber(number))
        assert isinstance(result, Moved), result


def payouts(epoch: int) -> dict[Address, int]:
    """What each operator earns in an epoch: made up, odd to the wei, one of them nothing."""
    return {
        operator: (epoch + 1) * (number * 37 * ATH + number * 7 + 1) if number else 0
        for number, operator in enumerate(OPERATORS)
    }


def totals(epoch: int, rollover_in: int, carried_in: int) -> Totals:
    """An allocation that conserves and that the contract accepts."""
    policy, paid = _policy(), sum(payouts(epoch).values())
    reserve = policy.epoch_budget_wei * policy.reserve_bps // 10_000
    residual = 3 * 10**9 + epoch
    carbon = policy.epoch_budget_wei * policy.carbon_cap_bps // 10_000 // 2
    open_ug = residual + carried_in
    paid_for = min(open_ug, carbon * 10**12 // policy.carbon_price_wei_per_tonne)
    return Totals(
        epoch=EpochNumber(epoch), budget_wei=policy.epoch_budget_wei, rollover_in_wei=Wei(rollover_in),
        reserve_wei=Wei(reserve), carbon_wei=Wei(carbon), pool_wei=Wei(0), payout_wei=Wei(paid),
        rollover_out_wei=Wei(policy.epoch_budget_wei + rollover_in - paid - reserve - carbon),
        sum_weight=1, left_over_wei=0, location_ug=MicrogramsCo2e(0), residual_ug=MicrogramsCo2e(residual),
        carried_in_ug=MicrogramsCo2e(carried_in), carried_out_ug=MicrogramsCo2e(open_ug - paid_for),
    )  # fmt: skip


def computed(ledger: Ledger, epoch: EpochNumber) -> StepResult:
    """FROZEN → COMPUTED with made-up results: the shape of the real step, its places and its one transaction."""
    with ledger.database.reading() as session:
        version = epochs.current(session, epoch)
        opening = opening_of(session, epoch)
    result = totals(epoch, opening.rollover_in_wei, opening.carried_in_ug)
    lines = [[to_hex(operator), pay] for operator, pay in payouts(epoch).items()]
    file = ledger.artefacts.write(epoch, version.attempt, "statements.json", json.dumps(lines).encode())
    faultpoint("compute.after_effect")
    now = ledger.clock.now()
    root = to_hex(keccak256(b"made up %d" % epoch))
    facts = {
        **dict.fromkeys(("evidenceRoot", "registrationsRoot", "usedRangesRoot", "statementsHash"), root),
        "rolloverInWei": opening.rollover_in_wei,
        "carriedInUg": opening.carried_in_ug,
        "totals": {name: getattr(result, name) for name in Totals.__dataclass_fields__},
    }
    with ledger.database.transaction() as session:
        version = epochs.lock_epoch(session, epoch, expected=EpochState.FROZEN)
        ledger.artefacts.record(session, epoch, version.attempt, file, now)
        epochs.record_transition(session, version, EpochState.COMPUTED, facts=facts, recorded_at=now)
        faultpoint("compute.before_commit")
    faultpoint("compute.after_commit")
    return Moved(epoch=epoch, state=EpochState.COMPUTED, what=f"computed, payout {result.payout_wei} wei")


def statements_of(artefacts: Any, session: Session, epoch: EpochNumber, attempt: int) -> list[OperatorTotal]:
    """The made-up statements, summed per operator already."""
    rows = json.loads(artefacts.read(session, epoch, attempt, "statements"))
    return [
        OperatorTotal(Address(bytes.fromhex(operator[2:])), Wei(pay), Wei(pay - pay // 3), Wei(pay // 3), Wei(0))
        for operator, pay in rows
    ]


_event_once: Final = lru_cache(4096)(ContractInterface.event)


@contextmanager
def stand_ins(waiting_time: Any) -> Iterator[None]:
    """Put the made-up results in the place of evidence and rules, and simulated waiting in the place of sleep.

    A log that was decoded once is not decoded again: every look meets the same few.
    """
    import ledger.chain.sending.outbox
    import ledger.chain.sending.transact
    import ledger.steps.drive
    import ledger.steps.transitions.follow
    import ledger.steps.transitions.seal

    wanted: list[tuple[Any, str, Any]] = [
        (ContractInterface, "event", _event_once),
        (ledger.steps.drive, "compute", computed),
        (ledger.steps.transitions.seal, "statements_of", statements_of),
        (ledger.steps.transitions.seal, "operator_totals", list),
        (ledger.steps.transitions.follow, "statements_of", statements_of),
        (ledger.steps.transitions.follow, "operator_totals", list),
        (ledger.chain.sending.outbox, "time", waiting_time),
        (ledger.chain.sending.transact, "time", waiting_time),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in wanted]
    for module, name, value in wanted:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
