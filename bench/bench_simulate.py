"""`gov simulate` over ten epochs of the demo's fleet: 1,213 nodes, 24 hours each, beginning with its evidence.

    python bench/bench_simulate.py                    10 epochs, changes that acceptance does not read
    python bench/bench_simulate.py --set quorumK=4    a change for which all evidence is judged again

Everything is synthetic: the demo's modelled readings, its three days of grid figures repeated. Making the ten epochs
takes longer than replaying them and is not counted. Seconds are wall time of one command in a process of its own.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from ledger.demo import grid
from ledger.demo.figures import GridHour, grid_hour
from ledger.demo.network import DEMO_GENESIS, DemoNetwork
from ledger.model.units import EpochNumber, Timestamp
from ledger.rehearsal import Rehearsal

FIGURES_SECONDS = 3 * 86_400


def repeated(zone: str, start: Timestamp) -> GridHour:
    """The figures of the same hour of the three days there are."""
    return grid_hour(zone, Timestamp(DEMO_GENESIS + (start - DEMO_GENESIS) % FIGURES_SECONDS))


def settle(root: Path, nodes: int, epochs: int) -> None:
    """A workspace with so many final epochs and its chain stopped."""
    rehearsal = Rehearsal.create(root, DemoNetwork(nodes=nodes))
    ledger = rehearsal.deploy(lambda _: None)
    rehearsal.register(ledger)
    with patch.object(grid, "grid_hour", repeated):
        for epoch in range(epochs):
            rehearsal.attest(ledger, EpochNumber(epoch))
            if epoch:
                list(rehearsal.settle(ledger, EpochNumber(epoch - 1)))
    list(rehearsal.settle(ledger, EpochNumber(epochs - 1)))
    ledger.close()
    rehearsal.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=1213)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--set", default="gMatchBps=2250", metavar="NAME=VALUE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "ledger"
        settle(root, given.nodes, given.epochs)
        code = "import sys; from ledger.cli.edge import run; sys.exit(run(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "gov", "simulate", "--workspace", str(root), "--set", given.set]
        begin = time.perf_counter()
        answer = subprocess.run(
            [*command, "--last", str(given.epochs), "--out", str(root / "out"), "-o", "json"],
            env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
    found = json.loads(answer.stdout)["data"]
    print(
        json.dumps(
            {
                "epochs": found["epochs"]["count"],
                "nodes": len(found["nodes"]["rows"]),
                "change": given.set,
                "judged_again": sum(each["is_rejudged"] for each in found["replayed"]),
                "seconds": f"{seconds:.1f}",
                "python": platform.python_version(),
                "processors": os.cpu_count(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
