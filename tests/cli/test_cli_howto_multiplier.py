"""The page about changing a multiplier is true: its commands are run as they are printed, in one shell."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.chain.local.anvil import stop_detached
from ledger.chain.sending.safe import is_intact

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "change-a-multiplier.md"


@pytest.mark.slow
def test_the_page_runs_as_it_is_printed(tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ETH_", "ATH_LEDGER_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
    finally:
        stop_detached(tmp_path / "practice" / "chain")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "only 3 epochs are final" in done.stderr
    assert "g_match_bps: 2250 → 2500" in done.stdout.splitlines()[-1]
    assert "scheduled" in done.stdout.splitlines()[-1]
    digest = next(line.split()[0] for line in done.stdout.splitlines() if line.endswith("simulation/simulation.json"))
    batch = json.loads((tmp_path / "safe.json").read_text(encoding="utf-8"))
    assert is_intact(batch)
    assert f"simulation: 0x{digest}" in batch["meta"]["description"]
