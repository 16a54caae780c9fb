"""The tutorial is true: its commands are run as they are printed, in one shell, from an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.chain.local.anvil import stop_detached

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "your-own-network.md"


@pytest.mark.slow
def test_the_tutorial_of_a_network_of_ones_own_runs_as_it_is_printed(tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"```bash\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ETH_", "ATH_LEDGER_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    finally:
        stop_detached(tmp_path / "my-network" / "chain")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "epoch 0 is final" in done.stderr
    assert "(2,587,258.14 ATH)" in done.stdout
    assert "reserve_bps: 1000 → 950" in done.stdout
