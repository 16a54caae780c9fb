"""Memory over many epochs: the embedded worker, as `ath-ledger run` has it, over 200 small epochs.

    python bench/bench_soak.py                  200 epochs; flat is wanted: at most 10 % from epoch 40 to the last
    python bench/bench_soak.py --epochs 60

A demo network of a few nodes on its own Anvil; each epoch has its evidence, is computed, sealed, proposed, activated,
booked and reconciled by the worker's tasks in this process, rung through Celery's in-memory broker. Printed every 20
epochs: this process' resident memory after a collection, its peak, and the CPU seconds of an epoch. The first epochs
fill caches that are bounded, so growth is judged from epoch 40 on.
"""

import argparse
import gc
import os
import platform
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

from ledger.chain.local.demo_time import DemoTime
from ledger.db import outbox
from ledger.db.outbox_entry import OutboxState
from ledger.demo.network import DemoNetwork
from ledger.model.epoch import EpochState
from ledger.model.errors import LedgerError
from ledger.model.units import EpochNumber, Timestamp
from ledger.rehearsal import DELIVERY_SECONDS, Rehearsal
from ledger.steps.drive import state_of
from ledger.steps.ledger import Ledger
from ledger.steps.transitions.activate import activation_key
from ledger.steps.transitions.propose import proposal_key
from ledger.steps.transitions.transition import Moved
from ledger.tasks import bell
from ledger.tasks.app import MEMORY, celery_app
from ledger.tasks.embedded import EmbeddedWorker
from ledger.tasks.work import Heard, register

FIRST_JUDGED = 40
MOST_GROWTH_PERCENT = 10
PATIENCE_SECONDS = 600
"""An epoch takes a second; a machine that is busy with other things may take long, and that is no failure."""


def resident_mib() -> float:
    """Resident memory of this process now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Soak:
    """A rehearsal whose epochs the embedded worker takes through, one after the other."""

    def __init__(self, rehearsal: Rehearsal, ledger: Ledger) -> None:
        self._rehearsal = rehearsal
        self._ledger = ledger
        self._heard = threading.Event()
        self._stopped_by: LedgerError | None = None
        self.app = celery_app(MEMORY)
        register(self.app, lambda: ledger, self._told, reconciles=True)

    def play(self, epoch: EpochNumber) -> None:
        """One epoch, from its evidence to FINAL."""
        ledger, time_of = self._ledger, DemoTime(self._ledger.settlement().connection)
        self._rehearsal.attest(ledger, epoch)
        cut_off = Timestamp(ledger.calendar.cut_off(epoch) + DELIVERY_SECONDS)
        if ledger.clock.now() < cut_off:
            time_of.jump_to(cut_off)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while state_of(ledger, epoch) is not EpochState.FINAL:
            self._heard.clear()
            bell.send(self.app, bell.SWEEP)
            self._heard.wait(PATIENCE_SECONDS)
            state = state_of(ledger, epoch)
            if state is EpochState.HALTED or time.monotonic() > deadline:
                raise SystemExit(f"epoch {epoch} is {state}: {self._stopped_by}")
            self._pass_time(time_of, epoch)

    def _pass_time(self, time_of: DemoTime, epoch: EpochNumber) -> None:
        with self._ledger.database.reading() as session:
            proposal = outbox.find_entry(session, proposal_key(epoch, 1))
            activation = outbox.find_entry(session, activation_key(epoch, 1))
        newest = activation or proposal
        if newest is not None and newest.state is OutboxState.MINED:
            time_of.mine()
        pending = self._ledger.settlement().rewards_ledger.pending("latest")
        if pending is not None and activation is None and self._ledger.clock.now() < pending.activates_at:
            time_of.jump_to(Timestamp(pending.activates_at))

    def _told(self, heard: Heard) -> None:
        if isinstance(heard, LedgerError):
            self._stopped_by = heard
        if not isinstance(heard, Moved):
            self._heard.set()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print("command:", " ".join(sys.argv))
    network = DemoNetwork(nodes=arguments.nodes)
    figures: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        rehearsal = Rehearsal.create(Path(folder) / "ledger", network)
        ledger = rehearsal.deploy(lambda _step: None)
        rehearsal.register(ledger)
        soak, began = Soak(rehearsal, ledger), time.process_time()
        with EmbeddedWorker(soak.app):
            for number in range(arguments.epochs):
                soak.play(EpochNumber(number))
                if (number + 1) % 20 == 0:
                    figures[number + 1] = resident_mib()
                    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                    each = (time.process_time() - began) / 20
                    began = time.process_time()
                    print(
                        f"{number + 1:4} epochs: {figures[number + 1]:6.1f} MiB resident, peak {peak:6.1f} MiB,"
                        f" {each:.2f} s CPU an epoch",
                        flush=True,
                    )
        ledger.close()
        rehearsal.stop()
    judged = {number: mib for number, mib in figures.items() if number >= FIRST_JUDGED}
    if not judged:
        return 0
    first, last = judged[min(judged)], judged[max(judged)]
    growth = 100 * (last / first - 1)
    print(f"from epoch {min(judged)} to {max(judged)}: {growth:+.1f} % (at most {MOST_GROWTH_PERCENT:+} % is flat)")
    return 0 if growth <= MOST_GROWTH_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
