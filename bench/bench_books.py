"""Booking seals on SQLite and PostgreSQL: hash chain, guards and balances, against the same rows in a bare table.

    python bench/bench_books.py                         4 seals of 10,000 operators, three lines each, on both engines
    python bench/bench_books.py --operators 50000       larger seals
    python bench/bench_books.py --engine postgresql     one engine
    TEST_DATABASE_URL=postgresql://... bench/bench_books.py    with a server that runs already, else one from the wheel

The limit of each engine is its own driver filling a table without a key, a guard, a hash or a balance, one transaction
a seal: Python's sqlite3 `executemany` with the same settings (WAL, synchronous FULL), psycopg's COPY. Amounts are
synthetic. Each side runs in a process of its own; seconds are wall time from ready postings to the end of COMMIT, cpu
is that process's, without the server's; peak memory is the process's.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import beside_tests  # noqa: F401 - finds what is imported next
import servers

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


def run_ours(operators: int, url: str) -> dict[str, Any]:
    """Append the seals to a migrated ledger, then verify the whole journal."""
    made = open_database(url, create=True)
    migrations.upgrade(made)
    made.close()
    database = open_database(url)
    seconds, cpu, transfers = 0.0, 0.0, 0
    for epoch in range(SEALS):
        posting = synthetic_seal(epoch, operators)
        started, working = time.perf_counter(), time.process_time()
        with database.transaction() as session:
            journal.append(session, posting, recorded_at=Timestamp(0))
        seconds, cpu = seconds + time.perf_counter() - started, cpu + time.process_time() - working
        transfers += len(posting.transfers)
    started = time.perf_counter()
    with database.reading() as session:
        journal.verify_journal(session)
    verified = time.perf_counter() - started
    started = time.perf_counter()
    with database.reading() as session:
        moments = [journal.balances(session, as_of_seq=seq) for seq in range(1, SEALS)]
    as_of = (time.perf_counter() - started) / len(moments)
    database.close()
    return {"seconds": seconds, "cpu": cpu, "transfers": transfers, "verify": verified, "as_of": as_of}


def run_limit(operators: int, url: str) -> dict[str, Any]:
    """The same rows into a bare table."""
    return (_bare_sqlite if url.startswith("sqlite") else _bare_postgresql)(operators, url)


def _bare_postgresql(operators: int, url: str) -> dict[str, Any]:
    import psycopg

    seconds, cpu, transfers = 0.0, 0.0, 0
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE bare (entry_seq int8, line_no int8, debit text, credit text, asset text,"
                           " amount numeric, code text)")  # fmt: skip
        connection.commit()
        for epoch in range(SEALS):
            posting = synthetic_seal(epoch, operators)
            started, working = time.perf_counter(), time.process_time()
            with connection.cursor().copy("COPY bare FROM STDIN") as copy:
                for number, line in enumerate(posting.transfers):
                    copy.write_row((epoch + 1, number, line.debit, line.credit, line.asset.value, line.amount,
                                    line.code.value))  # fmt: skip
            connection.commit()
            seconds, cpu = seconds + time.perf_counter() - started, cpu + time.process_time() - working
            transfers += len(posting.transfers)
    return {"seconds": seconds, "cpu": cpu, "transfers": transfers}


def _bare_sqlite(operators: int, url: str) -> dict[str, Any]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE bare (entry_seq, line_no, debit, credit, asset, amount, code)")
    seconds, cpu, transfers = 0.0, 0.0, 0
    for epoch in range(SEALS):
        posting = synthetic_seal(epoch, operators)
        rows = [
            (epoch + 1, number, line.debit, line.credit, line.asset.value, f"{line.amount:078d}", line.code.value)
            for number, line in enumerate(posting.transfers)
        ]
        started, working = time.perf_counter(), time.process_time()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        seconds, cpu = seconds + time.perf_counter() - started, cpu + time.process_time() - working
        transfers += len(rows)
    connection.close()
    return {"seconds": seconds, "cpu": cpu, "transfers": transfers}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def in_a_process(side: str, operators: int, url: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, "--operators", str(operators), "--url", url]
    answer: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return answer


@contextmanager
def places(engine: str) -> Iterator[Callable[[], str]]:
    """Makes URLs of new empty places on an engine."""
    with tempfile.TemporaryDirectory() as folder:
        if engine == "sqlite":
            yield lambda: servers.new_place(engine, Path(folder), None)
            return
        with servers.postgres(Path(folder)) as server:
            yield lambda: servers.new_place(engine, Path(folder), server)


def show(engine: str, operators: int) -> None:
    with places(engine) as new_place:
        ours = in_a_process("ours", operators, new_place())
        limit = in_a_process("limit", operators, new_place())
    for name, side in (("ours", ours), ("limit", limit)):
        print(
            f"{engine:<11} {name:<6} {side['transfers']:>9,} transfers in {SEALS} transactions  "
            f"{side['seconds']:7.2f} s  cpu {side['cpu']:6.2f} s  {side['transfers'] / side['seconds']:>9,.0f}/s  "
            f"peak {side['peak_mib']:5.0f} MiB"
        )
    print(f"{engine:<11} verify the whole journal again, every hash, line and balance: {ours['verify']:.2f} s")
    print(f"{engine:<11} as-of  all balances as of an earlier entry, mean of {SEALS - 1}: {ours['as_of']:.2f} s")
    print(f"{engine:<11} ratio  {ours['seconds'] / limit['seconds']:.1f} times the bare limit's time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", type=int, default=10_000)
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default=None)
    parser.add_argument("--side", choices=["ours", "limit"], help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        answer = (run_ours if options.side == "ours" else run_limit)(options.operators, options.url)
        answer["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer))
        return
    print(f"machine     {platform.platform()}, {processor()}, Python {platform.python_version()}, "
          f"SQLite {sqlite3.sqlite_version}")  # fmt: skip
    print(f"command     python bench/bench_books.py {' '.join(sys.argv[1:])}".rstrip())
    for engine in [options.engine] if options.engine else ["sqlite", "postgresql"]:
        show(engine, options.operators)


if __name__ == "__main__":
    main()
