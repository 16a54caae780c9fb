"""Booking seals on SQLite: hash chain, guards and balances, against the bare limit of the same rows in a bare table.

    python bench/bench_books.py                       4 seals of 10,000 operators, three lines each
    python bench/bench_books.py --operators 50000     larger seals

The limit is Python's own sqlite3 `executemany` into a table without a key, a guard, a hash or a balance, with
the same settings (WAL, synchronous FULL) and one transaction a seal. Amounts are synthetic. Each side runs in a process
of its own; seconds are wall time from ready postings to the end of COMMIT, peak memory is the process's.
"""

import argparse
import json
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ledger.books.posting import Posting
from ledger.books.seal_entries import OperatorLines, seal_entry
from ledger.db import journal, migrations
from ledger.db.engine import open_database
from ledger.model.allocation import Totals
from ledger.model.units import Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei

SEALS = 4


def synthetic_seal(epoch: int, operators: int) -> Posting:
    """A seal that pays every operator a base, an efficiency and a green line."""
    lines = [
        OperatorLines(
            operator=Address(number.to_bytes(20, "big")),
            base_wei=Wei(10**20 + number),
            efficiency_wei=Wei(10**19 + number),
            green_wei=Wei(10**18 + number),
        )
        for number in range(1, operators + 1)
    ]
    payout = sum(line.pay_wei for line in lines)
    totals = Totals(
        epoch=EpochNumber(epoch),
        budget_wei=Wei(payout + 3),
        rollover_in_wei=Wei(0),
        reserve_wei=Wei(2),
        carbon_wei=Wei(1),
        pool_wei=Wei(payout),
        payout_wei=Wei(payout),
        rollover_out_wei=Wei(0),
        sum_weight=1,
        left_over_wei=0,
        location_ug=MicrogramsCo2e(1),
        residual_ug=MicrogramsCo2e(1),
        carried_in_ug=MicrogramsCo2e(0),
        carried_out_ug=MicrogramsCo2e(0),
    )
    return seal_entry(
        totals=totals,
        attempt=1,
        manifest_hash=Hash32(bytes(32)),
        claim_root=Hash32(bytes(32)),
        lines=lines,
        effective_at=Timestamp(epoch),
    )


def run_ours(operators: int, folder: Path) -> dict[str, Any]:
    """Append the seals to a migrated ledger, then verify the whole journal."""
    url = f"sqlite:///{folder}/ledger.db"
    made = open_database(url, create=True)
    migrations.upgrade(made)
    made.close()
    database = open_database(url)
    seconds, transfers = 0.0, 0
    for epoch in range(SEALS):
        posting = synthetic_seal(epoch, operators)
        started = time.perf_counter()
        with database.transaction() as session:
            journal.append(session, posting, recorded_at=Timestamp(0))
        seconds += time.perf_counter() - started
        transfers += len(posting.transfers)
    started = time.perf_counter()
    with database.reading() as session:
        journal.verify_journal(session)
    verified = time.perf_counter() - started
    database.close()
    return {"seconds": seconds, "transfers": transfers, "verify": verified}


def run_limit(operators: int, folder: Path) -> dict[str, Any]:
    """The same rows into a bare table."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE bare (entry_seq, line_no, debit, credit, asset, amount, code)")
    seconds, transfers = 0.0, 0
    for epoch in range(SEALS):
        posting = synthetic_seal(epoch, operators)
        rows = [
            (epoch + 1, number, line.debit, line.credit, line.asset.value, f"{line.amount:078d}", line.code.value)
            for number, line in enumerate(posting.transfers)
        ]
        started = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        seconds += time.perf_counter() - started
        transfers += len(rows)
    connection.close()
    return {"seconds": seconds, "transfers": transfers}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def in_a_process(side: str, operators: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, "--operators", str(operators)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", type=int, default=10_000)
    parser.add_argument("--side", choices=["ours", "limit"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        with tempfile.TemporaryDirectory() as folder:
            run = run_ours if options.side == "ours" else run_limit
            answer = run(options.operators, Path(folder))
        answer["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer))
        return
    print(f"machine   {platform.platform()}, {processor()}, Python {platform.python_version()}, "
          f"SQLite {sqlite3.sqlite_version}")  # fmt: skip
    print(f"command   python bench/bench_books.py {' '.join(sys.argv[1:])}".rstrip())
    ours, limit = in_a_process("ours", options.operators), in_a_process("limit", options.operators)
    for name, side in (("ours", ours), ("limit", limit)):
        print(
            f"{name:<9} {side['transfers']:>9,} transfers in {SEALS} transactions  {side['seconds']:7.2f} s  "
            f"{side['transfers'] / side['seconds']:>9,.0f}/s  peak {side['peak_mib']:5.0f} MiB"
        )
    print(f"verify    the whole journal again, every hash, line and balance: {ours['verify']:.2f} s")
    print(f"ratio     {ours['seconds'] / limit['seconds']:.1f} times the bare limit's time")


if __name__ == "__main__":
    main()
