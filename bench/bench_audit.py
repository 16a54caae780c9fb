"""Auditing: a bundle of the demo fleet, a journal of a million entries, and explaining one node's reward.

    python bench/bench_audit.py                        everything; the fleet's three days are played first
    python bench/bench_audit.py --workspace DIR        with a workspace that has them already (ath-ledger demo)
    python bench/bench_audit.py --only journal         one part
    python bench/bench_audit.py --entries 100000       a shorter journal; the limit is for a million and not judged

Each part has its limit and a named peer in the same run: for the bundle Python's own SHA-256 over its bytes, for the
journal Python's own sqlite3 and hashlib reading and hashing the same bytes, with nothing looked at, for explaining
Python's own start. Each part runs in a process of its own; seconds are wall time (cpu: its processor time), peak memory
is that process's. All data are synthetic.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from ledger.books.accounts import Asset, TransferCode
from ledger.books.posting import Chain, EntryKind, Posting, content_hash, entry_bytes, link
from ledger.books.transfers import Transfer
from ledger.books.trial_balance import Sums
from ledger.books.verify import JournalEntry
from ledger.db import journal, migrations
from ledger.db.balances import replace_balances
from ledger.db.engine import Database, open_database
from ledger.db.guards import install_guards, remove_guards
from ledger.db.schema import table_of
from ledger.db.tables.journal import JournalEntryRow, TransferRow
from ledger.model.units import ZERO_HASH, Seq, Timestamp

LIMITS = {"bundle": 10.0, "journal": 20.0, "explain-warm": 0.1, "explain-command": 1.0}
LIMIT_ENTRIES = 1_000_000
"""How long a journal the limit is for: a shorter one is measured, not judged."""
ROWS_AT_ONCE = 10_000
EPOCH = 1
RUNS = 5


def synthetic_journal(entries: int) -> Iterator[tuple[JournalEntry, tuple[Transfer, ...]]]:
    """Claims of one transfer each, linked as they are booked."""
    head = ZERO_HASH
    for number in range(1, entries + 1):
        account = f"operator/0x{number % 1000:040x}"
        moved = (Transfer(f"{account}/payable", f"{account}/claimed", number, Asset.ATH, TransferCode.CLAIM),)
        posting = Posting(
            chain=Chain.LOG, key=f"claim/{number}", kind=EntryKind.CLAIM, effective_at=Timestamp(number),
            body={"amountWei": number}, transfers=moved,
        )  # fmt: skip
        content = posting.content()
        canonical = entry_bytes(content, number).canonical
        entry = JournalEntry(
            seq=Seq(number), chain=Chain.LOG, number=number, key=posting.key, kind=posting.kind,
            effective_at=posting.effective_at, canonical=canonical, body_hash=content_hash(content),
            previous_hash=head, hash=link(Chain.LOG, head, canonical), transfer_count=1,
        )  # fmt: skip
        head = entry.hash
        yield entry, moved


def write_journal(database: Database, entries: int) -> None:
    """Put the entries and their transfers into a migrated ledger, many at once; the guards are off meanwhile."""
    told, moved, sums = list[dict[str, Any]](), list[dict[str, Any]](), Sums()
    with database.transaction() as session:
        connection = session.connection()
        remove_guards(connection)
        for entry, transfers in synthetic_journal(entries):
            told.append(entry._asdict() | {"recorded_at": 0})
            for line, transfer in enumerate(transfers):
                sums.add(transfer)
                moved.append({"entry_seq": entry.seq, "line_no": line, **transfer._asdict()})
            if len(told) == ROWS_AT_ONCE or entry.seq == entries:
                connection.execute(insert(table_of(JournalEntryRow)), told)
                connection.execute(insert(table_of(TransferRow)), moved)
                told, moved = [], []
        replace_balances(session, sums.balances())
        install_guards(connection)


def time_journal(entries: int) -> dict[str, float]:
    """The walk of `db check` and `audit verify` over a database; the peer reads and hashes the same bytes only."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        # made in a process of its own: its memory is not the walk's
        writing = ["--part", "write", "--entries", str(entries), "--workspace", str(file)]
        subprocess.run([sys.executable, __file__, *writing], check=True)
        started = time.perf_counter()
        head = ZERO_HASH
        with closing(sqlite3.connect(file)) as bare:
            for (canonical,) in bare.execute("SELECT canonical FROM journal_entries ORDER BY seq"):
                head = hashlib.sha256(b"\x01log" + head + canonical).digest()  # type: ignore[assignment]
        peer = time.perf_counter() - started
        database = open_database(f"sqlite:///{file}", read_only=True)
        started, working = time.perf_counter(), time.process_time()
        with database.reading() as session:
            heads = journal.verify_journal(session)
        seconds, cpu = time.perf_counter() - started, time.process_time() - working
        database.close()
    if heads[Chain.LOG].number != entries or heads[Chain.LOG].hash != head:
        raise SystemExit("the journal did not verify")
    return {"seconds": seconds, "cpu": cpu, "peer": peer, "things": entries}


def write_part(entries: int, file: str) -> None:
    database = open_database(f"sqlite:///{file}", create=True)
    migrations.upgrade(database)
    write_journal(database, entries)
    database.close()


def command(*arguments: str) -> str:
    """A command of the ledger in this process; its stdout."""
    from ledger.cli.edge import run

    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()) as err:
        code = run(list(arguments))
    if code:
        raise SystemExit(f"{' '.join(arguments)}: {err.getvalue()}")
    return out.getvalue()


def time_bundle(workspace: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle.zip"
        command("audit", "export", "--epoch", str(EPOCH), "--out", str(bundle), "--workspace", workspace)
        started = time.perf_counter()
        hashlib.sha256(bundle.read_bytes()).digest()
        peer = time.perf_counter() - started
        program = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program, "audit", "verify", str(bundle)], check=True, capture_output=True)
        return {"seconds": time.perf_counter() - started, "peer": peer, "things": bundle.stat().st_size}


def first_node(workspace: str) -> str:
    rows = json.loads(command("node", "list", "--workspace", workspace, "-o", "json"))["data"]
    return str(rows[0].get("node_id") or rows[0]["node"])


def time_explain_warm(workspace: str) -> dict[str, float]:
    node = first_node(workspace)
    arguments = ["rewards", "explain", "--epoch", str(EPOCH), "--node", node, "--workspace", workspace, "-o", "json"]
    command(*arguments)
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        command(*arguments)
        seconds.append(time.perf_counter() - started)
    return {"seconds": sorted(seconds)[RUNS // 2], "peer": bare_start(), "things": RUNS}


def time_explain_command(workspace: str) -> dict[str, float]:
    node = first_node(workspace)
    program = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"
    whole = ["rewards", "explain", "--epoch", str(EPOCH), "--node", node, "--workspace", workspace, "-o", "json"]
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program, *whole], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return {"seconds": sorted(seconds)[RUNS // 2], "peer": bare_start(), "things": RUNS}


def bare_start() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - started


def in_a_process(part: str, options: argparse.Namespace, workspace: str) -> dict[str, Any]:
    called = [sys.executable, __file__, "--part", part, "--entries", str(options.entries), "--workspace", workspace]
    answer: dict[str, Any] = json.loads(subprocess.run(called, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return answer


def run_part(part: str, options: argparse.Namespace) -> None:
    match part:
        case "write":
            write_part(options.entries, options.workspace)
            return
        case "journal":
            answer = time_journal(options.entries)
        case "bundle":
            answer = time_bundle(options.workspace)
        case "explain-warm":
            answer = time_explain_warm(options.workspace)
        case _:
            answer = time_explain_command(options.workspace)
    who: tuple[int, ...] = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    # the journal's child wrote what is walked here
    who = who[:1] if part == "journal" else who
    answer["peak_mib"] = max(resource.getrusage(each).ru_maxrss for each in who) / 1024
    print(json.dumps(answer))


def told(part: str, limit: float, answer: dict[str, Any]) -> str:
    """One line: seconds, what limit was held against what, the peer and the memory."""
    seconds, peer, things = answer["seconds"], answer["peer"], f"{answer['things']:,}"
    verdict = "ok" if seconds <= limit else "TOO SLOW"
    match part:
        case "journal":
            asked = f"{limit:.0f} s for {LIMIT_ENTRIES:,}, asked {things} entries"
            if answer["things"] != LIMIT_ENTRIES:
                verdict = "not judged"
            asked += f"  cpu {answer['cpu']:.2f} s"
        case "bundle":
            asked = f"{limit:.0f} s, {things} bytes"
        case _:
            asked = f"{limit:.1f} s, median of {things}"
    return (
        f"{part:<16} {seconds:8.3f} s  {verdict:<10}  limit {asked}"
        f"  peer {peer:.3f} s  ratio {seconds / peer:.1f}  peak {answer['peak_mib']:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", default="")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--only", choices=list(LIMITS))
    parser.add_argument("--part", choices=[*LIMITS, "write"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options.part, options)
        return
    print(f"machine  {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"command  python bench/bench_audit.py {' '.join(sys.argv[1:])}".rstrip())
    with tempfile.TemporaryDirectory() as folder:
        workspace = options.workspace
        parts = [options.only] if options.only else list(LIMITS)
        if not workspace and parts != ["journal"]:
            workspace = str(Path(folder) / "fleet")
            program = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"
            subprocess.run([sys.executable, "-c", program, "demo", "-w", workspace], check=True, capture_output=True)
        for part in parts:
            print(told(part, LIMITS[part], in_a_process(part, options, workspace)))


if __name__ == "__main__":
    main()
