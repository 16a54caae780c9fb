"""The payout tree of a whole network against OpenZeppelin's JavaScript library, on the same leaves, in one run.

    python bench/bench_tree.py                        435,000 leaves on both sides (the peer takes about a minute)
    python bench/bench_tree.py --peer-leaves 43500    a smaller peer; its full time is then extrapolated, and said so
    python bench/bench_tree.py --peer-leaves 0        without the peer

Leaves are synthetic. Each side runs in a process of its own; seconds are wall time of building the tree from
ready values, peak memory is the process's.
"""

import argparse
import json
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LEAVES = 435_000
PEER = """
const { StandardMerkleTree } = require("@openzeppelin/merkle-tree");
const values = require("node:fs").readFileSync(process.argv[1], "utf8").trimEnd().split("\\n").map((l) => l.split(","));
const start = process.hrtime.bigint();
const tree = StandardMerkleTree.of(values, ["address", "uint256"]);
const built = process.hrtime.bigint();
const proof = tree.getProof(0);
const seconds = (a, b) => Number(b - a) / 1e9;
console.log(JSON.stringify({ root: tree.root, build: seconds(start, built), proofLength: proof.length,
  peakMib: process.resourceUsage().maxRSS / 1024 }));
"""


def synthetic(leaves: int) -> tuple[list[bytes], list[int]]:
    from ledger.tree.keccak import keccak256

    digests = [keccak256(number.to_bytes(8, "big")) for number in range(leaves)]
    return [digest[:20] for digest in digests], [int.from_bytes(digest[20:31], "big") for digest in digests]


def run_ours(leaves: int) -> dict[str, Any]:
    """Build, store, open and prove; printed as JSON by a process of its own."""
    from ledger.model.units import Address
    from ledger.tree.payout import payout_proof, payout_tree
    from ledger.tree.standard import StandardTree

    raw_accounts, amounts = synthetic(leaves)
    accounts = [Address(account) for account in raw_accounts]
    started = time.perf_counter()
    tree = payout_tree(accounts, amounts)
    built = time.perf_counter()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "payout.tree"
        path.write_bytes(tree.to_bytes())
        opening = time.perf_counter()
        stored = StandardTree.open(path)
        opened = time.perf_counter()
        sample = accounts[:: max(1, leaves // 1000)]
        for account in sample:
            payout_proof(stored, account)
        proved = time.perf_counter()
        size = path.stat().st_size
    return {
        "root": "0x" + tree.root.hex(),
        "build": built - started,
        "open_us": (opened - opening) * 1e6,
        "proof_us": (proved - opened) * 1e6 / len(sample),
        "file_mib": size / 2**20,
        "peakMib": peak_mib,
    }


def run_peer(leaves: int) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        raise SystemExit("the peer needs node on PATH")
    accounts, amounts = synthetic(leaves)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.writelines(f"0x{account.hex()},{amount}\n" for account, amount in zip(accounts, amounts, strict=True))
        file.flush()
        command = [node, "--max-old-space-size=4096", "-e", PEER, file.name]
        run = subprocess.run(command, cwd=ROOT / "contracts", capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leaves", type=int, default=LEAVES)
    parser.add_argument("--peer-leaves", type=int, help="leaves of the peer; the same number unless given")
    parser.add_argument("--ours-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours_only:
        print(json.dumps(run_ours(options.leaves)))
        return
    peer_leaves = options.leaves if options.peer_leaves is None else options.peer_leaves
    print(f"machine   {platform.platform()}, {processor()}, Python {platform.python_version()}")
    print(f"command   python bench/bench_tree.py {' '.join(sys.argv[1:])}".rstrip())
    command = [sys.executable, __file__, "--ours-only", "--leaves", str(options.leaves)]
    ours = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"ours      {options.leaves:>9,} leaves  {ours['build']:8.2f} s  peak {ours['peakMib']:7.0f} MiB")
    print(
        f"          stored {ours['file_mib']:.1f} MiB, opened in {ours['open_us']:.0f} µs, "
        f"a checked proof from the file in {ours['proof_us']:.0f} µs"
    )
    if not peer_leaves:
        return
    peer = run_peer(peer_leaves)
    print(f"npm peer  {peer_leaves:>9,} leaves  {peer['build']:8.2f} s  peak {peer['peakMib']:7.0f} MiB")
    if peer_leaves == options.leaves:
        if peer["root"] != ours["root"]:
            raise SystemExit(f"the roots differ: {ours['root']} and {peer['root']}")
        print(f"roots     equal: {ours['root']}")
        print(f"ratio     {peer['build'] / ours['build']:.1f} times faster than the peer")
    else:
        scaled = peer["build"] * options.leaves / peer_leaves
        print(f"ratio     {scaled / ours['build']:.1f} times, EXTRAPOLATED: the peer's time scaled by its leaves")


if __name__ == "__main__":
    main()
