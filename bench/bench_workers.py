"""An epoch of 1,213 nodes through the workers, a full batch at the door, and what preparing registrations ahead saves.

    python bench/bench_workers.py                        all three; at most 10 s, at most 5 s, and a ratio
    python bench/bench_workers.py --nodes 40 --workers 1

The epoch: PostgreSQL, Redis, Anvil and the workers are real processes on this machine. Measured is the time from the
passing of the cut-off to the epoch being final: freeze, computation, seal, proposal, activation, booking. What the
chain itself waits for (challenge window, finality) is jumped over as soon as the database says that it has begun; the
limit is for everything else. The batch: 65,536 uptime records of 24 hours, one a node, received and judged through the
inbox as a worker does. Registrations: read and verified one by one, as every epoch did, against read out of prepared
parts.

Wall seconds on an otherwise idle machine; CPU seconds of the workers beside them, which a busy one does not change.
"""

import argparse
import hashlib
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import beside_tests  # noqa: F401 - finds what is imported next
import numpy as np
import polars as pl
import servers
from cluster import Cluster

from ledger.db.tables.blobs import BlobRow, StoredItemRow
from ledger.demo.network import DemoNetwork
from ledger.demo.verifier import DemoVerifier
from ledger.evidence.items.batch import build_batch
from ledger.evidence.items.records import RECORD_COLUMNS, Window
from ledger.evidence.items.registration import NodeRegistration, sign_registration
from ledger.evidence.items.signing import KeySigner
from ledger.evidence.items.typed_data import Schema
from ledger.evidence.storage.batch_files import write_batch
from ledger.evidence.storage.item_files import write_registration
from ledger.evidence.storage.store import ItemKind
from ledger.evidence.storage.verified_registrations import VerifiedRegistrations
from ledger.model.epoch import EpochState
from ledger.model.units import SECONDS_PER_HOUR, EpochNumber, Hash32, Timestamp
from ledger.rehearsal import DELIVERY_SECONDS
from ledger.steps.computing.registrations import verified_registrations
from ledger.steps.intake.inbox import judge_submission, receive
from ledger.steps.ledger import Ledger
from ledger.tree.keccak import keccak256

EPOCH = EpochNumber(0)
EPOCH_SECONDS_WANTED = 10
BATCH_SECONDS_WANTED = 5
RECORDS = 65_536
REGISTRATIONS = 20_000


def process_seconds(group: int) -> float:
    """CPU seconds of every process of a group so far."""
    ticks = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mib(pids: list[int]) -> float:
    """The largest peak memory of the workers' processes."""
    peaks = [0.0]
    for place in Path("/proc").glob("[0-9]*/status"):
        try:
            text = place.read_text()
            group = int((place.parent / "stat").read_text().rpartition(")")[2].split()[2])
        except OSError:
            continue
        if group in pids:
            peaks += [int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM")]
    return max(peaks)


def bench_epoch(folder: Path, url: str, nodes: int, workers: int) -> bool:
    """One epoch through the workers; whether it was fast enough."""
    with Cluster.create(folder / "epoch", url, DemoNetwork(nodes=nodes)) as cluster:
        cluster.start_workers(workers)
        cluster.hand_in(EPOCH)  # also waits until the workers have started
        groups = [each.process.pid for each in cluster.workers if each.process is not None]
        before = sum(map(process_seconds, groups))
        cluster.pass_cut_off(EPOCH)
        began, marks = time.perf_counter(), []
        for state in (EpochState.FROZEN, EpochState.COMPUTED, EpochState.SEALED, EpochState.FINAL):
            reached = {*EpochState} - set(list(EpochState)[: list(EpochState).index(state)])
            done: set[str] = set()

            def arrived(reached: set[EpochState] = reached, done: set[str] = done) -> bool:
                cluster.move_time(EPOCH, done)
                return cluster.state(EPOCH) in reached

            cluster.wait(arrived, state)
            marks.append(f"{state} {time.perf_counter() - began:.2f}")
        seconds = time.perf_counter() - began
        spent = sum(map(process_seconds, groups)) - before
        memory = peak_mib(groups)
    print(
        f"epoch of {nodes:,} nodes, PostgreSQL, Redis, {workers} workers: {seconds:.2f} s wall, {spent:.2f} s CPU of"
        f" the workers ({', '.join(marks)}); largest process {memory:.0f} MiB; limit {EPOCH_SECONDS_WANTED} s:"
        f" {seconds / EPOCH_SECONDS_WANTED:.2f} of it"
    )
    return seconds <= EPOCH_SECONDS_WANTED


def full_batch(ledger: Ledger, checker: DemoVerifier) -> bytes:
    """A batch with as many records as one may have."""
    calendar = ledger.calendar
    start = calendar.start(EPOCH)
    hours = calendar.hours
    numbers = np.random.default_rng(7).integers(0, 2**60, (RECORDS, hours), dtype=np.int64)
    columns = {
        "node_id": sorted(keccak256(number.to_bytes(8, "big")) for number in range(RECORDS)),
        "window_start": [start] * RECORDS,
        "hours": [hours] * RECORDS,
        "up_mask": [row.astype(">u8").tobytes() for row in numbers],
        "seen_mask": [((1 << 60) - 1).to_bytes(8, "big") * hours] * RECORDS,
        "capacity_check": [1] * RECORDS,
    }
    batch = build_batch(
        ledger.domain,
        checker.signer,
        Schema.UPTIME,
        pl.DataFrame(columns, schema=RECORD_COLUMNS[Schema.UPTIME]),
        epoch=EPOCH,
        window=Window(start=start, end=Timestamp(start + hours * SECONDS_PER_HOUR)),
        issued_at=calendar.end(EPOCH),
        expires_at=Timestamp(calendar.cut_off(EPOCH) + 1),
    )
    return write_batch(batch, ledger.domain)


def bench_batch(ledger: Ledger, checker: DemoVerifier) -> bool:
    """One full batch through the inbox; whether it was fast enough."""
    content = full_batch(ledger, checker)
    wall, cpu = time.perf_counter(), time.process_time()
    received = receive(ledger, content)
    handed = time.perf_counter() - wall
    judged = judge_submission(ledger, received.digest)
    seconds, spent = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"batch of {RECORDS:,} records ({len(content) / 2**20:.1f} MiB): received {handed:.2f} s, verified after"
        f" {seconds:.2f} s wall, {spent:.2f} s CPU, {judged.state} {judged.code}; limit {BATCH_SECONDS_WANTED} s:"
        f" {seconds / BATCH_SECONDS_WANTED:.2f} of it"
    )
    return seconds <= BATCH_SECONDS_WANTED


def bench_registrations(ledger: Ledger, count: int) -> None:
    """Registrations as an epoch needs them: from their signed files, and from prepared parts."""
    signer, now = KeySigner(keccak256(b"operator")), ledger.clock.now()
    signed = []
    for number in range(count):
        serial = Hash32(keccak256(number.to_bytes(8, "big")))
        registration = NodeRegistration(
            operator=signer.address, serial=serial, model="H100-SXM-80GB", gpu_ids=(serial,), zone="NO", country="NO",
            nameplate_w=1000, valid_from=now, valid_to=Timestamp(now + 10**8), sequence=0,
        )  # fmt: skip
        signed.append(sign_registration(ledger.domain, signer, registration))
    with ledger.database.transaction() as session:  # the store commits each by itself, which is not what is measured
        for each in signed:
            content = write_registration(each, ledger.domain)
            digest = hashlib.sha256(content).digest()
            session.add(BlobRow(digest=digest, size=len(content), content=content))
            session.add(StoredItemRow(kind="registration", uid=each.uid, digest=digest, size=len(content)))
    uids = [each.uid for each in signed]

    def timed(read: object) -> tuple[float, VerifiedRegistrations]:
        began = time.process_time()
        found = read()  # type: ignore[operator]
        return time.process_time() - began, found

    files, plain = timed(
        lambda: VerifiedRegistrations.of_files(
            ledger.evidence.get_all(ItemKind.REGISTRATION, sorted(uids)), ledger.domain
        )
    )
    making, _ = timed(lambda: verified_registrations(ledger, uids))
    ready, kept = timed(lambda: verified_registrations(ledger, uids))
    assert set(kept.items) == set(plain.items)
    assert kept.signed == plain.signed
    print(
        f"{count:,} registrations: read and verified {files:.2f} s CPU ({1e6 * files / count:.0f} µs each), in parts"
        f" for the first time {making:.2f} s, out of prepared parts {ready:.2f} s ({1e6 * ready / count:.0f} µs each):"
        f" {files / ready:.0f} times as fast"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1213)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--registrations", type=int, default=REGISTRATIONS)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    print("command:", " ".join(sys.argv))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with servers.postgres(folder) as server:
            passed = bench_epoch(
                folder, servers.new_place("postgresql", folder, server), arguments.nodes, arguments.workers
            )
            url = servers.new_place("postgresql", folder, server)
            with Cluster.create(folder / "batch", url, DemoNetwork(nodes=3)) as cluster:
                ledger, verifiers = cluster.ledger, cluster.network.verifiers
                checker = next(each for each in verifiers if each.schema is Schema.UPTIME)
                cluster.jump(Timestamp(ledger.calendar.end(EPOCH) + DELIVERY_SECONDS))
                passed &= bench_batch(ledger, checker)
                bench_registrations(ledger, arguments.registrations)
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
