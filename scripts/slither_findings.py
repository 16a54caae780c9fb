"""Runs slither over a copy of the contracts: every finding has to be explained in contracts/slither.toml.

    python scripts/slither_findings.py path/to/slither

Exit code 1 for a finding nobody explained, and for an explanation of what slither no longer finds.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

CONTRACTS: Final = Path(__file__).resolve().parents[1] / "contracts"


def main() -> int:
    """Compare what slither finds with what is explained."""
    entries = tomllib.loads((CONTRACTS / "slither.toml").read_text("utf-8"))["exception"]
    explained = {(entry["detector"], place) for entry in entries for place in entry["where"]}
    found = findings(Path(sys.argv[1]).absolute())
    for detector, place in sorted(found - explained):
        print(f"not explained: {detector} in {place}")
    for detector, place in sorted(explained - found):
        print(f"explained, but no longer found: {detector} in {place}")
    print(f"{len(found)} findings, {len(found - explained)} of them not explained in contracts/slither.toml")
    return 1 if found != explained else 0


def findings(slither: Path) -> set[tuple[str, str]]:
    """Detector and place of everything slither reports about our sources."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "contracts"
        for name in ("src", "bin"):
            shutil.copytree(CONTRACTS / name, copy / name)
        shutil.copy2(CONTRACTS / "foundry.toml", copy)
        (copy / "node_modules").symlink_to(CONTRACTS / "node_modules")
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [str(slither), ".", "--filter-paths", "node_modules", "--json", str(report)],
            cwd=copy, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{copy / 'bin'}:{slither.parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        if not report.exists():
            raise SystemExit(f"slither could not run:\n{done.stderr[-3000:]}")
        document = json.loads(report.read_text("utf-8"))
    if not document["success"]:
        raise SystemExit(f"slither could not run: {document['error']}")
    return {(each["check"], place_of(each["elements"][0])) for each in document["results"].get("detectors", [])}


def place_of(element: dict[str, Any]) -> str:
    """`Contract.function`, or `Contract.variable`; of a local variable, the function it is in."""
    parent = element["type_specific_fields"]["parent"]
    if parent["type"] == "function":
        return place_of(parent)
    return f"{parent['name']}.{element['name']}"


if __name__ == "__main__":
    sys.exit(main())
