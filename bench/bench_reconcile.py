"""Reconciling every operator (R4) on a real Anvil: books from SQLite, claims from the contract's storage.

    python bench/bench_reconcile.py                       10,000 operators; at most 20 seconds are wanted
    python bench/bench_reconcile.py --operators 1000

The contracts are deployed; operators, payouts and claims are synthetic: the books get one seal and its activation, and
what each operator has claimed is written into the contract's storage by Anvil. Measured are the replay of the books and
the comparison of every operator at one pinned block; beside it the same claims read by one eth_call each, for a sample.
Seconds are wall time.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from bench_books import synthetic_seal

from ledger.books.log_entries import ChainPoint, activation_entry, claim_entry
from ledger.chain.contracts.artefacts import REWARDS_LEDGER, storage_slot
from ledger.chain.contracts.rewards_ledger import RewardsLedgerContract
from ledger.chain.node.connection import Block
from ledger.db import journal
from ledger.demo.worked_example import WorkedExample
from ledger.model.units import Address, EpochNumber, Hash32, Wei, to_hex
from ledger.rehearsal import Rehearsal
from ledger.steps.ledger import Ledger
from ledger.steps.reconciling.finding import Outcome
from ledger.steps.reconciling.operators import differing_operators
from ledger.steps.reconciling.settled_books import settled_books
from ledger.tree.abi import address_word, uint_word
from ledger.tree.keccak import keccak256

WANTED_SECONDS = 20
SAMPLE = 200
"""Single calls that are measured; the rest is extrapolated and said so."""


def book(ledger: Ledger, operators: int, at: Block) -> dict[Address, Wei]:
    """One seal, its activation, and a claim of half of it by every second operator; every operator's leaf."""
    seal = synthetic_seal(0, operators)
    leaves: dict[Address, int] = {}
    for line in seal.transfers:
        if line.credit.startswith("operator/"):
            account = Address(bytes.fromhex(line.credit.split("/")[1][2:]))
            leaves[account] = leaves.get(account, 0) + line.amount
    payouts = {account: Wei(amount) for account, amount in leaves.items()}
    with ledger.database.transaction() as session:
        journal.append(session, seal, recorded_at=at.timestamp)
        activation = activation_entry(
            epoch=EpochNumber(0), attempt=1, payouts=payouts, carbon_wei=Wei(1), reserve_wei=Wei(2),
            header_hash=Hash32(bytes(32)), at=_point(at, 0),
        )  # fmt: skip
        journal.append(session, activation, recorded_at=at.timestamp)
        for number, (account, amount) in enumerate(sorted(payouts.items())):
            if number % 2:
                half = Wei(amount // 2)
                claim = claim_entry(
                    account=account, payee=account, amount_wei=half, cumulative_wei=half, at=_point(at, number)
                )
                journal.append(session, claim, recorded_at=at.timestamp)
    return payouts


def remember_claims(ledger: Ledger, payouts: dict[Address, Wei]) -> None:
    """Let the contract hold the same claims."""
    settlement = ledger.settlement()
    contract = to_hex(settlement.rewards_ledger.address)
    slot = uint_word(storage_slot(REWARDS_LEDGER, "_accounts"))
    calls = []
    for number, (account, amount) in enumerate(sorted(payouts.items())):
        if number % 2:
            place = keccak256(address_word(account) + slot)
            calls.append(("anvil_setStorageAt", [contract, to_hex(place), to_hex(uint_word(amount // 2))]))
    settlement.connection.rpc_batch(calls)
    settlement.connection.rpc("evm_mine")


def single_calls(contract: RewardsLedgerContract, accounts: list[Address], at: Block) -> float:
    """Seconds of one eth_call for each account."""
    started = time.perf_counter()
    for account in accounts:
        contract.claimed_wei(account, at.hash)
    return time.perf_counter() - started


def _point(at: Block, number: int) -> ChainPoint:
    return ChainPoint(
        chain_id=31337, block=at.number, block_hash=at.hash, block_time=at.timestamp,
        transaction=Hash32(bytes(32)), log=number,
    )  # fmt: skip


def main() -> None:
    """Deploy, fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", type=int, default=10_000)
    operators = parser.parse_args().operators
    with tempfile.TemporaryDirectory() as folder:
        rehearsal = Rehearsal.create(Path(folder) / "ledger", WorkedExample())
        ledger = rehearsal.deploy(lambda _step: None)
        try:
            settlement = ledger.settlement()
            payouts = book(ledger, operators, settlement.connection.head())
            remember_claims(ledger, payouts)
            at = settlement.connection.head()
            started = time.perf_counter()
            with ledger.database.reading() as session:
                books = settled_books(session)
            replayed = time.perf_counter()
            *differing, summary = differing_operators(settlement.rewards_ledger, at, books, payouts)
            compared = time.perf_counter()
            if differing or summary.outcome is not Outcome.AGREES:
                raise SystemExit(f"the benchmark's own books differ: {differing[:3]}")
            sample = sorted(payouts)[:SAMPLE]
            singly = single_calls(settlement.rewards_ledger, sample, at)
        finally:
            ledger.close()
            rehearsal.stop()
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "operators": operators,
        "agree": summary.found,
        "replay_seconds": round(replayed - started, 3),
        "operators_seconds": round(compared - replayed, 3),
        "total_seconds": round(compared - started, 3),
        "wanted_seconds": WANTED_SECONDS,
        "single_calls_seconds_extrapolated": round(singly * operators / len(sample), 1),
    }
    print(json.dumps(result, indent=2))
    if operators <= 10_000 and compared - started > WANTED_SECONDS:
        raise SystemExit(f"{compared - started:.1f} s for {operators} operators, at most {WANTED_SECONDS} are wanted")


if __name__ == "__main__":
    main()
