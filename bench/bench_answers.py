"""Answers about one operator or node in an epoch of a whole network: proof, standing, explanation; and whole commands.

    python bench/bench_answers.py                                  435,000 synthetic operators, made and thrown away
    python bench/bench_answers.py FOLDER                           made in FOLDER once
    python bench/bench_answers.py --operators 20000                fewer
    python bench/bench_answers.py FOLDER --database-url postgresql+psycopg://HOST/EMPTY-DATABASE
    python bench/bench_answers.py FOLDER --demo DIR                and `rewards explain` as a command on the demo in DIR

Answers are those of one warm process, each about another operator, drawn by a seed; processor time and wall time, so
that a busy machine is seen. The peer is what an answer costs without an index: reading the sealed statements and
filtering them by Polars, in the same run. The commands' peer is Python's own start.
"""

import argparse
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import large_epoch
import polars as pl

from ledger.model.plain import plain
from ledger.steps.answers.explain import explain
from ledger.steps.answers.explanation_document import explanation_document
from ledger.steps.answers.rewards import epoch_reward_rows, operator_fact
from ledger.steps.recorded.operator_proof import proof_of
from ledger.workspace import Workspace

LIMIT_MS = 50.0
"""What the slowest hundredth may take over HTTP; an answer in the process must leave room for the rest."""
COMMAND_LIMIT_S = 1.0
ASKED = 1000
PEER_ASKED = 5
COMMANDS = (("rewards", "explain", "--node"), ("rewards", "proof", "--operator"), ("rewards", "history", "--operator"))
PROGRAM = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"


def timed(ask: Callable[[Any], object], about: Sequence[Any]) -> tuple[list[float], list[float]]:
    """Milliseconds of processor and of wall time of each answer, ascending."""
    busy, waited = [], []
    for one in about:
        cpu, wall = time.process_time(), time.perf_counter()
        ask(one)
        busy.append((time.process_time() - cpu) * 1e3)
        waited.append((time.perf_counter() - wall) * 1e3)
    return sorted(busy), sorted(waited)


def at(share: float, values: Sequence[float]) -> float:
    """The value that this share of all is not above."""
    return values[min(len(values) - 1, int(share * len(values)))]


def answers(made: large_epoch.LargeEpoch) -> None:
    """Time the answers in this process and print a line for each."""
    ledger = Workspace.at(made.root).open(read_only=True)
    drawn = random.Random(5).sample(range(len(made.nodes)), min(ASKED, len(made.nodes)) + 1)
    with ledger.database.reading() as session:
        sealed = ledger.artefacts.mapped(session, made.epoch, 1, "statements").place
    questions: dict[str, Callable[[int], object]] = {
        "proof": lambda one: proof_of(ledger, made.operators[one], made.epoch),
        "standing": lambda one: operator_fact(ledger, made.operators[one]),
        "explanation": lambda one: explain(ledger, made.epoch, made.nodes[one].hex()),
        "explained json": lambda one: plain(explanation_document(explain(ledger, made.epoch, made.nodes[one].hex()))),
        "page of 100": lambda one: epoch_reward_rows(ledger, made.epoch, after=made.operators[one], limit=100),
    }
    plain_way = timed(
        lambda one: pl.read_parquet(sealed).filter(pl.col("node_id") == made.nodes[one]), drawn[:PEER_ASKED]
    )
    peer = at(0.5, plain_way[0])
    print(f"peer            {peer:8.2f} ms of processor time to read all statements and filter them")
    for name, ask in questions.items():
        (first,), _ = timed(ask, drawn[:1])
        busy, waited = timed(ask, drawn[1:])
        verdict = "ok" if at(0.99, waited) <= LIMIT_MS else "TOO SLOW"
        print(
            f"{name:<15} {at(0.5, busy):8.2f} ms p50 {at(0.99, busy):8.2f} ms p99 of processor time"
            f"  wall {at(0.5, waited):8.2f} {at(0.99, waited):8.2f}  limit {LIMIT_MS:.0f} ms {verdict:<8}"
            f"  ratio {peer / at(0.5, busy):8.1f}  first {first:8.0f} ms"
        )
    ledger.close()
    print(f"peak            {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.0f} MiB")


def commands(workspace: Path) -> None:
    """Time whole commands, each a process of its own, the fastest of five."""
    frame = pl.read_parquet(next(workspace.glob("artefacts/00000001/*/statements.parquet")))
    about = {"--node": "0x" + frame["node_id"][0].hex(), "--operator": "0x" + frame["operator"][0].hex()}
    bare = min(_process([sys.executable, "-c", "pass"]) for _ in range(5))
    print(f"Python          {bare[0]:8.3f} s of processor time, {bare[1]:.3f} s wall: its own start")
    for *words, option in COMMANDS:
        call = [sys.executable, "-c", PROGRAM, *words, option, about[option], "-w", str(workspace), "-o", "json"]
        _process(call)  # the first one derives the indexes
        busy, waited = min(_process(call) for _ in range(5))
        verdict = "ok" if waited <= COMMAND_LIMIT_S else "TOO SLOW"
        print(
            f"{' '.join(words):<15} {busy:8.3f} s of processor time, {waited:.3f} s wall"
            f"  limit {COMMAND_LIMIT_S:.0f} s {verdict:<8}  ratio {busy / bare[0]:8.1f}"
        )


def _process(call: list[str]) -> tuple[float, float]:
    """Seconds of processor time and of wall time."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(call, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where the epoch is, or is made and kept")
    parser.add_argument("--operators", type=int, default=large_epoch.OPERATORS)
    parser.add_argument("--database-url")
    parser.add_argument("--demo", type=Path, help="a workspace that `ath-ledger demo` made")
    options = parser.parse_args()
    print(f"machine         {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"command         python bench/bench_answers.py {' '.join(sys.argv[1:])}")
    with tempfile.TemporaryDirectory() as passing:
        folder = options.folder or Path(passing) / "ledger"
        made = large_epoch.load(folder, options.operators, options.database_url)
        print(f"epoch           {len(made.operators):,} synthetic operators with a node each")
        answers(made)
    if options.demo:
        commands(options.demo)


if __name__ == "__main__":
    main()
