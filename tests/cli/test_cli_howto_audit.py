"""The pages about reconciling and watching are true: their commands are run as they are printed, in one shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.chain.local.anvil import stop_detached

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("reconcile.md", "books, chain and evidence agree at block"),
        ("watch-the-publisher.md", "every header on chain recomputes"),
    ],
)
def test_the_page_runs_as_it_is_printed(tmp_path: Path, page: str, told: str) -> None:
    script = "\n".join(re.findall(r"```bash\n(.*?)```", (HOWTO / page).read_text(encoding="utf-8"), re.DOTALL))
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
    assert told in done.stderr
