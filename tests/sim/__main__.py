"""Play seeds.

    python -m tests.sim --seed 17                  one run, with its trace
    python -m tests.sim --seeds 0..1999 --jobs 2   many, with a progress bar and a summary

Exit code 4 when a promise was broken in any run; each such seed is printed with its oracle and the end of its trace.
"""

# ruff: noqa: T201 - a command: stdout is its answer
import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

_TAIL = 25


@dataclass(slots=True)
class Outcome:
    """What became of one seed."""

    seed: int
    oracle: str = ""
    what: str = ""
    tail: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    blocks_left: int = 0


def play(seed: int) -> Outcome:
    """One run; a broken promise is told, not raised."""
    from .oracles import ViolationError
    from .world import World

    world = World(seed)
    outcome = Outcome(seed)
    try:
        world.run()
    except ViolationError as broken:
        outcome.oracle, outcome.what = broken.oracle, str(broken)
        outcome.tail = [_line(each) for each in world.trace[-_TAIL:]]
    except Exception as surprise:  # noqa: BLE001 - counted like any other broken promise
        outcome.oracle, outcome.what = "surprise", f"{type(surprise).__name__}: {surprise}"
        outcome.tail = [_line(each) for each in world.trace[-_TAIL:]]
    outcome.faults = world.faults.injected
    outcome.blocks_left = world.blocks_left
    return outcome


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__.partition("\n")[0])
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--seed", type=int, help="replay one seed with its trace")
    chosen.add_argument("--seeds", help="a range, 0..1999")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    if given.seed is not None:
        return _replay(given.seed)
    first, _, last = given.seeds.partition("..")
    return _range(range(int(first), int(last or first) + 1), given.jobs)


def _replay(seed: int) -> int:
    from .oracles import ViolationError
    from .world import World

    world = World(seed)
    print(f"seed {seed}: {world.scenario}; faults on: {', '.join(sorted(world.faults.on)) or 'none'}")
    broken: ViolationError | None = None
    try:
        world.run()
    except ViolationError as error:
        broken = error
    finally:
        for number, each in enumerate(world.trace):
            print(f"{number:5}  {_line(each)}")
    print(f"injected: {dict(sorted(world.faults.injected.items()))}")
    if broken is not None:
        print(f"VIOLATION {broken}")
        if broken.__cause__ is not None:
            raise broken.__cause__
        return 4
    print("nothing lost, nothing doubled, nothing divergent")
    return 0


def _range(seeds: range, jobs: int) -> int:
    started, cpu = time.monotonic(), time.process_time()
    faults: Counter[str] = Counter()
    broken: list[Outcome] = []
    done = blocks_left = 0
    try:
        for outcome in _played(seeds, jobs):
            done += 1
            faults += outcome.faults
            blocks_left += outcome.blocks_left
            if outcome.oracle:
                broken.append(outcome)
                print(f"\nseed {outcome.seed}: {outcome.what}", file=sys.stderr)
                print("".join(f"    {line}\n" for line in outcome.tail), end="", file=sys.stderr)
            if sys.stderr.isatty() or done % 1000 == 0:
                end = "\r" if sys.stderr.isatty() else "\n"
                print(f"{done}/{len(seeds)} runs, {len(broken)} broken", end=end, file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    seconds = time.monotonic() - started
    counts = Counter(outcome.oracle for outcome in broken)
    print(f"runs {done} of {len(seeds)} (seeds {seeds[0]}..{seeds[-1]})")
    print(f"faults injected {sum(faults.values())}; blocks taken back {blocks_left}")
    for kind, count in sorted(faults.items()):
        print(f"    {kind:24}{count:>10}")
    for oracle in ("lost", "doubled", "divergent"):
        print(f"{oracle} {counts.pop(oracle, 0)}")
    for oracle, count in sorted(counts.items()):
        print(f"{oracle} {count}")
    print(f"seconds {seconds:.1f}, processes {jobs}, {1000 * seconds * jobs / max(done, 1):.1f} ms a run and process")
    if jobs == 1:
        print(f"CPU seconds {time.process_time() - cpu:.1f}")
    return 4 if broken else 0


def _played(seeds: range, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(play, seeds)
        return
    # forked before anything is opened: each process lays out its own stage; one that dies is told, not waited for
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(play, seeds, chunksize=10)


def _line(each: tuple[object, ...]) -> str:
    return "  ".join(str(part) for part in each)


if __name__ == "__main__":
    sys.exit(main())
