"""Plants each fault of contracts/mutants.toml in a copy of the contracts and says which forge test notices it.

    python scripts/mutants.py                  every fault; exit code 1 when one survives
    python scripts/mutants.py --only claim     those whose file, texts or meaning contain the word

First the tests that take seconds (no optimizer, few fuzz runs), then, for a survivor, the whole suite as
`forge test` runs it. The sources themselves are never touched. A run of all faults writes bench/results/mutants.json.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CONTRACTS: Final = ROOT / "contracts"
RESULTS: Final = ROOT / "bench" / "results" / "mutants.json"
PROCESSES: Final = 2
COPIED: Final = ("src", "test", "bin", "foundry.toml", "package.json", "roles.json", "snapshots")
# Tests are linked to the sources when they run, so a fault costs one compilation of the sources, not of every test.
LINKED: Final = {"FOUNDRY_OPTIMIZER": "false", "FOUNDRY_DYNAMIC_TEST_LINKING": "true"}
# Builds of its own: forge's cache would take tests that were compiled to be linked for these.
PLAIN: Final = {"FOUNDRY_OPTIMIZER": "false", "FOUNDRY_OUT": "out-plain", "FOUNDRY_CACHE_PATH": "cache-plain"}
WHOLE: Final = {"FOUNDRY_OUT": "out-whole", "FOUNDRY_CACHE_PATH": "cache-whole"}
FEW: Final = {"FOUNDRY_FUZZ_RUNS": "32"}
UNITS: Final = ("--no-match-contract", "GasTest|Invariant|Symbolic")
EVERY: Final = ("--no-match-contract", "Symbolic")
FAILED: Final = re.compile(r"^Encountered \d+ failing tests? in \S+:(\w+)\n\[FAIL.*?\] (\w+)\(", re.M | re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One small fault: in `file` of contracts/src, the text `old` becomes `new`."""

    file: str
    old: str
    new: str
    means: str

    def plant(self, source: str) -> str:
        """The source with the fault. SystemExit when the list no longer fits the sources."""
        if source.count(self.old) != 1:
            raise SystemExit(f"{self.file}: the text to replace is there {source.count(self.old)} times: {self.old!r}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The mutant and the test that failed because of it; None when none did."""

    mutant: Mutant
    caught_by: str | None


def main() -> int:
    """Run the mutants, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORD", help="faults that contain the word; writes no results")
    options = parser.parse_args()
    every = [Mutant(**entry) for entry in tomllib.loads((CONTRACTS / "mutants.toml").read_text("utf-8"))["mutant"]]
    chosen = [mutant for mutant in every if (options.only or "") in str(mutant)]
    for mutant in every:
        mutant.plant((CONTRACTS / "src" / mutant.file).read_text("utf-8"))
    outcomes = []
    for outcome in run(chosen):
        outcomes.append(outcome)
        print(
            f"{outcome.mutant.file:20} {outcome.mutant.means:78} {outcome.caught_by or '*** SURVIVES ***'}", flush=True
        )
    caught = sum(outcome.caught_by is not None for outcome in outcomes)
    print(f"{caught} of {len(outcomes)} faults are caught")
    if options.only is None:
        write(outcomes, caught)
    return 0 if caught == len(outcomes) else 1


def run(mutants: list[Mutant]) -> Iterator[Outcome]:
    """Outcomes in the order of the list; two copies of the contracts work at once."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(PROCESSES) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for place in pool.map(copy_contracts, [Path(folder) / str(number) for number in range(PROCESSES)]):
            copies.put(place)

        def judged(mutant: Mutant) -> Outcome:
            copy = copies.get()
            try:
                return judge(copy, mutant)
            finally:
                copies.put(copy)

        yield from pool.map(judged, mutants)


def copy_contracts(place: Path) -> Path:
    """A copy that builds by itself, with its tests shown to pass before anything is changed."""
    copy = place / "contracts"
    copy.mkdir(parents=True)
    for name in COPIED:
        source = CONTRACTS / name
        if source.is_dir():
            shutil.copytree(source, copy / name)
        else:
            shutil.copy2(source, copy / name)
    (copy / "node_modules").symlink_to(CONTRACTS / "node_modules")
    (place / "tests").symlink_to(ROOT / "tests")
    failed = forge(copy, UNITS, LINKED | FEW)
    if failed is not None:
        raise SystemExit(f"{failed} fails without any fault: run make contracts")
    return copy


def judge(copy: Path, mutant: Mutant) -> Outcome:
    """Plant the fault, run the tests, take it out again."""
    file = copy / "src" / mutant.file
    sound = file.read_text("utf-8")
    file.write_text(mutant.plant(sound), "utf-8")
    try:
        # linked tests deploy through a cheatcode, which hides a constructor that no longer refuses: ask again without
        caught = forge(copy, UNITS, LINKED | FEW) or forge(copy, UNITS, PLAIN | FEW) or forge(copy, EVERY, WHOLE)
    finally:
        file.write_text(sound, "utf-8")
    return Outcome(mutant=mutant, caught_by=caught)


def forge(copy: Path, tests: tuple[str, ...], settings: dict[str, str]) -> str | None:
    """`Contract.test` that failed first, or None. SystemExit when the copy does not even compile."""
    done = subprocess.run(
        ["bin/forge", "test", "--fail-fast", *tests],
        cwd=copy, env={**os.environ, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return None
    failed = FAILED.search(done.stdout)
    if failed is None:
        raise SystemExit(f"forge could not run the tests:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return f"{failed[1]}.{failed[2]}"


def write(outcomes: list[Outcome], caught: int) -> None:
    """The results, without anything that depends on the machine."""
    rows = [
        {
            "file": outcome.mutant.file,
            "old": " ".join(outcome.mutant.old.split()),
            "new": " ".join(outcome.mutant.new.split()),
            "means": outcome.mutant.means,
            "caught_by": outcome.caught_by,
        }
        for outcome in outcomes
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    document = {"command": "make mutants", "faults": len(rows), "caught": caught, "mutants": rows}
    RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
