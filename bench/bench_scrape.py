"""What a scrape of /metrics and a look at readiness cost a ledger of 435,000 registered nodes.

    python bench/bench_scrape.py [--nodes 435000] [--epochs 1000] [--database-url postgresql+psycopg://…]

The rows are synthetic: a registration and a judged submission for every node, final epochs with their transactions, in
SQLite or in an empty PostgreSQL database. Measured are the first look of a process, which counts what there is, and
later ones, which count on; each in CPU seconds of this process and in wall time. The limit is Prometheus' own scrape
timeout.
"""

import argparse
import hashlib
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from ledger.chain.errors import ChainUnreachableError
from ledger.db import chain_log, epochs, migrations, outbox
from ledger.db.blobs import put_blob
from ledger.db.engine import Database, open_database
from ledger.db.outbox_entry import OutboxState
from ledger.db.tables.items import ItemRow
from ledger.db.tables.submissions import SubmissionRow, SubmissionVerdictRow
from ledger.evidence.items.typed_data import Domain
from ledger.evidence.storage.store import FolderStore
from ledger.model.clock import SystemClock
from ledger.model.epoch import EpochCalendar, EpochState
from ledger.model.units import Address, EpochNumber, Hash32, Timestamp
from ledger.steps.checkup.figures import Figures, render
from ledger.steps.checkup.health import Readiness
from ledger.steps.kept.artefacts import ArtefactFolder
from ledger.steps.ledger import Ledger
from ledger.steps.settlement import Settlement

SCRAPE_TIMEOUT_SECONDS = 10
"""Prometheus' default `scrape_timeout`."""
LATER = 20
CHAIN = 1
AT = Timestamp(1_700_000_000)
SENDER = Address(b"\x11" * 20)
CHUNK = 20_000


def digest(kind: str, number: int) -> Hash32:
    return Hash32(hashlib.sha256(f"{kind}/{number}".encode()).digest())


def fill(database: Database, nodes: int, epoch_count: int) -> None:
    """Rows as a network of that size leaves them."""
    with database.transaction() as session:
        content = put_blob(session, b"{}")
    for begin in range(0, nodes, CHUNK):
        numbers = range(begin + 1, min(begin + CHUNK, nodes) + 1)
        with database.transaction() as session:
            session.execute(insert(ItemRow), [_item(number) for number in numbers])
            session.execute(insert(SubmissionRow), [_submission(content, number) for number in numbers])
            session.execute(insert(SubmissionVerdictRow), [_verdict(content, number) for number in numbers])
    with database.transaction() as session:
        outbox.open_sender(session, CHAIN, SENDER, 0)
        point = chain_log.FinalPoint(number=9, hash=digest("block", 9), timestamp=AT, head_number=21)
        chain_log.add_final_point(session, CHAIN, point)
    for number in range(epoch_count):
        with database.transaction() as session:
            _epoch(session, EpochNumber(number))


def _item(number: int) -> dict[str, Any]:
    return {
        "arrival": number, "uid": digest("item", number), "kind": "registration", "schema": "", "signer": SENDER,
        "epoch": None, "sequence": 0, "received_at": AT + number, "file_digest": digest("file", number),
    }  # fmt: skip


def _submission(content: Hash32, number: int) -> dict[str, Any]:
    return {"digest": content, "number": number, "size": 2, "received_at": AT + number}


def _verdict(content: Hash32, number: int) -> dict[str, Any]:
    return {
        "digest": content, "number": number, "uid": None, "kind": "", "epoch": None, "verdict": "refused",
        "code": "file.not-an-item", "detail": "", "judged_at": AT + number,
    }  # fmt: skip


def _epoch(session: Any, epoch: EpochNumber) -> None:
    standing = epochs.open_epoch(session, epoch, recorded_at=AT)
    for state in (EpochState.FROZEN, EpochState.COMPUTED, EpochState.SEALED, EpochState.PROPOSED, EpochState.FINAL):
        standing = epochs.record_transition(session, standing, state, facts={}, recorded_at=AT)
    epochs.record_verdict_counts(session, epoch, 1, {("record", f"code.{number}"): number for number in range(40)})
    for call in ("propose", "activate"):
        entry = outbox.enqueue(
            session, key=f"epoch/{epoch}/{call}/1", chain_id=CHAIN, sender=SENDER, to=SENDER, calldata=b"", at=AT
        )
        for state in (OutboxState.SIGNED, OutboxState.BROADCAST, OutboxState.MINED, OutboxState.FINAL):
            entry = outbox.record(session, entry, state, AT)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def opened(database: Database, folder: Path) -> Ledger:
    """A ledger over the rows; its chain does not answer."""

    def away() -> Settlement:
        raise ChainUnreachableError("there is no chain")

    return Ledger(
        database=database, evidence=FolderStore(folder / "evidence"), artefacts=ArtefactFolder(folder),
        clock=SystemClock(), calendar=EpochCalendar(genesis=Timestamp(1_699_999_200), length=86_400),
        domain=Domain(chain_id=CHAIN, verifying_contract=SENDER), connect=away,
    )  # fmt: skip


def lines(ledger: Ledger, folder: Path) -> Iterator[str]:
    figures = Figures(ledger=ledger, fresh_seconds=0, patience_seconds=600)
    first = timed(lambda: render(figures))
    later = [timed(lambda: render(figures)) for _ in range(LATER)]
    text = render(figures).decode()
    if "ath_ledger_database_up 1.0" not in text:
        raise SystemExit("the database did not answer")
    yield next(line for line in text.splitlines() if line.startswith("ath_ledger_items_total"))
    share = SCRAPE_TIMEOUT_SECONDS / first[1]
    yield f"first scrape   {first[0]:.3f} s CPU, {first[1]:.3f} s; 1/{share:.0f} of the limit"
    cpu, wall = (statistics.median(each) for each in zip(*later, strict=True))
    worst = max(each[1] for each in later)
    yield (
        f"later scrapes  {cpu:.3f} s CPU, {wall:.3f} s (median of {LATER}), worst {worst:.3f} s;"
        f" 1/{SCRAPE_TIMEOUT_SECONDS / worst:.0f} of the limit"
    )
    readiness = Readiness(ledger=ledger, root=folder, fresh_seconds=0)
    cpu, wall = (statistics.median(each) for each in zip(*(timed(readiness.look) for _ in range(LATER)), strict=True))
    yield f"readiness      {cpu:.3f} s CPU, {wall:.3f} s (median of {LATER}; no node answers)"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=435_000)
    parser.add_argument("--epochs", type=int, default=1_000)
    parser.add_argument("--database-url")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = open_database(options.database_url or f"sqlite:///{folder / 'ledger.sqlite'}", create=True)
        migrations.upgrade(database)
        fill(database, options.nodes, options.epochs)
        print(f"{platform.platform()}: {Path(sys.argv[0]).name} {' '.join(sys.argv[1:3])} on {database.dialect}")
        print(f"{options.nodes:,} registrations and submissions, {options.epochs:,} epochs")
        for line in lines(opened(database, folder), folder):
            print(line)
        database.close()
    print(f"peak memory    {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
