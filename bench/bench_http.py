"""Proofs and explanations over HTTP, of a whole network's epoch: 200 requests a second for a minute, as they fall due.

    python bench/bench_http.py FOLDER                              435,000 synthetic operators on PostgreSQL, made once
    python bench/bench_http.py FOLDER --operators 20000 --seconds 20
    python bench/bench_http.py FOLDER --database-url postgresql+psycopg://HOST/EMPTY-DATABASE
    python bench/bench_http.py FOLDER --sqlite                     the same on SQLite

Two uvicorn processes serve. The client's loop is open: request n is due at n/200 s whatever became of those before it,
and its latency counts from then, so that a server that stalls cannot hide it. The client runs on the same cores and its
processor time is shown. The peer is the server's emptiest answer, `/healthz`, asked the same way in the same run.
"""

import argparse
import asyncio
import os
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import beside_tests  # noqa: F401 - puts what tests share on the path
import http_server
import large_epoch
import servers
from sqlalchemy import make_url

LIMIT_MS = 50.0
RATE = 200
SECONDS = 60
WORKERS = 2
CONNECTIONS = 64
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Outcome:
    """What became of the requests of one run."""

    waited_ms: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    size: int = 0

    def at(self, share: float) -> float:
        """The latency that this share of all is not above."""
        ordered = sorted(self.waited_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _ask(
    address: tuple[str, int], free: "asyncio.Queue[Connection | None]", path: str, due: float, outcome: Outcome
) -> None:
    connection = await free.get()
    try:
        reader, writer = connection or await asyncio.open_connection(*address)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        content = await reader.readexactly(int(lengths[0].split(b":")[1]))
    except (OSError, asyncio.IncompleteReadError) as error:
        outcome.statuses[type(error).__name__] += 1
        free.put_nowait(None)
        return
    outcome.waited_ms.append((time.perf_counter() - due) * 1e3)
    outcome.statuses[head[9:12].decode()] += 1
    outcome.size += len(content)
    free.put_nowait((reader, writer))


async def asked(url: str, paths: Sequence[str], rate: int) -> Outcome:
    """Every path, one each 1/rate seconds."""
    host, _, port = url.removeprefix("http://").partition(":")
    outcome, tasks = Outcome(), set()
    free: asyncio.Queue[Connection | None] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(None)
    begun = time.perf_counter()
    for number, path in enumerate(paths):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(_ask((host, int(port)), free, path, due, outcome))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    while not free.empty():
        connection = free.get_nowait()
        if connection is not None:
            connection[1].close()
    return outcome


def processor_seconds(parent: int) -> float:
    """Of the server's processes so far."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(entry.name) == parent or int(fields[1]) == parent:
                total += int(fields[11]) + int(fields[12])
    return total / TICKS


def peak_mib(parent: int) -> int:
    """The largest memory any of the server's processes had."""
    largest = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "status").read_text()
            except OSError:
                continue
            told = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            if int(told["PPid"]) == parent and "VmHWM" in told:
                largest = max(largest, int(told["VmHWM"].split()[0]) // 1024)
    return largest


@contextmanager
def database(options: argparse.Namespace) -> Iterator[str | None]:
    """Where the books are: the URL given, a PostgreSQL kept in the folder, or SQLite."""
    if options.sqlite or options.database_url:
        yield options.database_url
        return
    place, kept = options.folder / "postgres", options.folder / "database-name"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with servers.postgres(place) as url:
        if not kept.exists():
            kept.write_text(str(make_url(servers.new_place("postgresql", options.folder, url)).database))
        yield make_url(url).set(database=kept.read_text()).render_as_string(hide_password=False)


def report(name: str, outcome: Outcome, cpu: float, peer_ms: float | None) -> None:
    wrong = sum(count for status, count in outcome.statuses.items() if status != "200")
    count = len(outcome.waited_ms)
    verdict = "ok" if outcome.at(0.99) <= LIMIT_MS and not wrong else "MISSED"
    ratio = "" if peer_ms is None else f"  ratio to the peer {outcome.at(0.5) / peer_ms:6.1f}"
    print(
        f"{name:<14}{count:7,} answers {dict(outcome.statuses)}"
        f" p50 {outcome.at(0.5):7.2f} ms p99 {outcome.at(0.99):7.2f} ms"
        f" max {max(outcome.waited_ms):8.2f} ms  {cpu / count * 1e3:6.2f} ms of processor time each"
        f"  {outcome.size // count:6} bytes  limit {LIMIT_MS:.0f} ms {verdict}{ratio}"
    )


def measure(made: large_epoch.LargeEpoch, environment: dict[str, str], options: argparse.Namespace) -> None:
    """Serve and ask."""
    drawn = random.Random(11)
    total = options.rate * options.seconds

    def proofs() -> list[str]:
        chosen = (drawn.choice(made.earners) for _ in range(total))
        return [f"/v1/epochs/{made.epoch}/proofs/0x{operator.hex()}" for operator in chosen]

    def explanations() -> list[str]:
        return [f"/v1/epochs/{made.epoch}/explanations/0x{drawn.choice(made.nodes).hex()}" for _ in range(total)]

    server = http_server.serve(made.root, "--workers", str(WORKERS), **environment)
    try:
        for path in {*proofs()[:40], *explanations()[:40]}:  # both processes open their indexes
            server.get(path)
        mixed = [path for pair in zip(proofs(), explanations(), strict=True) for path in pair][:total]
        runs = {"/healthz": ["/healthz"] * (options.rate * 10), "proofs": proofs(), "explanations": explanations(),
                "both": mixed}  # fmt: skip
        peer: float | None = None
        for name, paths in runs.items():
            before, mine = processor_seconds(server.process.pid), time.process_time()
            outcome = asyncio.run(asked(server.url, paths, options.rate))
            report(name, outcome, processor_seconds(server.process.pid) - before, peer)
            peer = outcome.at(0.5) if peer is None else peer
            print(f"{'':<14}client: {time.process_time() - mine:.1f} s of processor time")
        print(f"peak          {peak_mib(server.process.pid)} MiB in the larger of {WORKERS} processes")
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the epoch is, or is made")
    parser.add_argument("--operators", type=int, default=large_epoch.OPERATORS)
    parser.add_argument("--database-url")
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    options = parser.parse_args()
    print(f"machine       {platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"command       python bench/bench_http.py {' '.join(sys.argv[1:])}")
    with database(options) as url:
        made = large_epoch.load(options.folder / "ledger", options.operators, url)
        engine = "SQLite" if url is None else "PostgreSQL"
        print(f"epoch         {len(made.operators):,} synthetic operators with a node each, on {engine}")
        print(f"load          {options.rate} requests/s for {options.seconds} s, {WORKERS} processes; load average "
              f"{os.getloadavg()[0]:.1f} before")  # fmt: skip
        measure(made, {} if url is None else {"ATH_LEDGER_DATABASE_URL": url}, options)


if __name__ == "__main__":
    main()
