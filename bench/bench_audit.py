"""Auditing: a bundle of the demo fleet, a journal of a million entries, and explaining one node's reward.

    python bench/bench_audit.py                        everything; the fleet's three days are played first
    python bench/bench_audit.py --workspace DIR        with a workspace that has them already (ath-ledger demo)
    python bench/bench_audit.py --entries 100000       a shorter journal

Each part has its limit and a named peer in the same run: for the bundle Python's own SHA-256 over its bytes, for the
journal the bare hash chain over the same bytes (hashlib, nothing looked at), for explaining Python's own start. Each
part runs in a process of its own; seconds are wall time, peak memory is that process's. All data are synthetic.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from ledger.books.accounts import Asset, TransferCode
from ledger.books.posting import Chain, EntryKind, Posting, content_hash, entry_bytes, link
from ledger.books.transfers import Transfer
from ledger.books.verify import JournalEntry, verify_journal
from ledger.model.units import ZERO_HASH, Seq, Timestamp

LIMITS = {"bundle": 10.0, "journal": 20.0, "explain-warm": 0.1, "explain-command": 1.0}
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


def time_journal(entries: int) -> dict[str, float]:
    """Verifying in pieces, so that making the entries is neither timed nor in memory at once."""
    made = synthetic_journal(entries)
    ours = peer = started = 0.0
    head = ZERO_HASH

    def told() -> Iterator[tuple[JournalEntry, tuple[Transfer, ...]]]:
        nonlocal ours, peer, head, started
        while True:
            ours += time.perf_counter() - started
            piece = [each for _, each in zip(range(20_000), made, strict=False)]
            at = time.perf_counter()
            for entry, _ in piece:
                head = hashlib.sha256(b"\x01log" + head + entry.canonical).digest()  # type: ignore[assignment]
            peer += time.perf_counter() - at
            started = time.perf_counter()
            if not piece:
                return
            yield from piece

    started = time.perf_counter()
    heads = verify_journal(told())
    ours += time.perf_counter() - started
    if heads[Chain.LOG].number != entries or heads[Chain.LOG].hash != head:
        raise SystemExit("the journal did not verify")
    return {"seconds": ours, "peer": peer, "things": entries}


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
        case "journal":
            answer = time_journal(options.entries)
        case "bundle":
            answer = time_bundle(options.workspace)
        case "explain-warm":
            answer = time_explain_warm(options.workspace)
        case _:
            answer = time_explain_command(options.workspace)
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    answer["peak_mib"] = max(resource.getrusage(each).ru_maxrss for each in who) / 1024
    print(json.dumps(answer))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", default="")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--part", choices=list(LIMITS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options.part, options)
        return
    print(f"machine  {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"command  python bench/bench_audit.py {' '.join(sys.argv[1:])}".rstrip())
    with tempfile.TemporaryDirectory() as folder:
        workspace = options.workspace
        if not workspace:
            workspace = str(Path(folder) / "fleet")
            program = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"
            subprocess.run([sys.executable, "-c", program, "demo", "-w", workspace], check=True, capture_output=True)
        for part, limit in LIMITS.items():
            answer = in_a_process(part, options, workspace)
            seconds, peer = answer["seconds"], answer["peer"]
            print(
                f"{part:<16} {seconds:8.3f} s  limit {limit:5.1f} s  {'ok' if seconds <= limit else 'TOO SLOW':<8}"
                f"  peer {peer:7.3f} s  ratio {seconds / peer:8.1f}  peak {answer['peak_mib']:5.0f} MiB"
                f"  {answer['things']:,} {'bytes' if part == 'bundle' else 'entries' if part == 'journal' else 'runs'}"
            )


if __name__ == "__main__":
    main()
