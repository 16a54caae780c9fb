"""The page of the fault matrix, written from what a run has seen: rows without a test stand on it as missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from matrix.rows import ROWS

HEADER: Final = """# Reliability

What happens to the books and to the money when something breaks. Every row is a fault that is made on purpose, against
real parts: Anvil behind a proxy that delays, tears, drops and lies, PostgreSQL and Redis servers that are killed, and
processes that end by SIGKILL. It passes when nothing was lost and nothing was done twice (the books balance and agree
with the chain at one block, each intended transaction took effect exactly once, every epoch is recomputed from its
evidence), and when the final bytes, books, files and chain state, are those of a run that nobody disturbed. Where the
fault itself changes block hashes, everything but the places in the chain has to be the same.

This page is written by the run itself, from the tests' own results; a row that no test has proved in that run is
`missing`. To make it again:

    ATH_LEDGER_RELIABILITY=docs/reliability.md .venv/bin/python -m pytest tests -m "row"

The seconds are what the row's tests took together, on whatever machine that was; they are no promise.
"""


@dataclass(slots=True)
class Proof:
    """What a run has seen of one row."""

    tests: list[str] = field(default_factory=list)
    """What its tests say they do, each once."""
    cases: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def result(self) -> str:
        """One word, or the figure that is wrong."""
        if not self.cases:
            return "**missing**"
        if self.failed:
            return f"**{self.failed} failed**"
        return f"**{self.skipped} skipped**" if self.skipped else "passed"


def page(proofs: Mapping[str, Proof]) -> str:
    """The whole page as Markdown, rows in the matrix's order."""
    return HEADER + "\n" + "\n".join(_lines(proofs)) + "\n"


def _lines(proofs: Mapping[str, Proof]) -> Iterator[str]:
    found = [(row, proofs.get(row.name, Proof())) for row in ROWS]
    passed = sum(proof.result == "passed" for _, proof in found)
    yield f"**{passed} of {len(ROWS)} rows passed**, in {sum(proof.cases for _, proof in found)} cases."
    yield ""
    yield "| row | fault | what was tried | cases | result | seconds |"
    yield "|---|---|---|---:|---|---:|"
    for row, proof in found:
        told = _cell(" · ".join(sorted(proof.tests))) or "–"
        seconds = f"{proof.seconds:.1f}" if proof.cases else "–"
        yield f"| {row.name} | {row.fault} | {told} | {proof.cases} | {proof.result} | {seconds} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def said_of(name: str, documented: str | None) -> str:
    """What a test does, in its own words: its docstring's first sentence, else its name."""
    if documented:
        return documented.strip().split("\n\n")[0].rstrip(".")
    return name.split("[")[0].removeprefix("test_").replace("_", " ")


def gathered(reports: Sequence[tuple[Sequence[str], str, str, float]]) -> dict[str, Proof]:
    """Proofs by row from (rows, what the test says, outcome, seconds) of every test."""
    proofs: dict[str, Proof] = {}
    for rows, said, outcome, seconds in reports:
        for name in rows:
            proof = proofs.setdefault(name, Proof())
            proof.cases += 1
            proof.failed += outcome == "failed"
            proof.skipped += outcome == "skipped"
            proof.seconds += seconds
            if said not in proof.tests:
                proof.tests.append(said)
    return proofs
