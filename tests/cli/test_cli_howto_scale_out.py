"""The page about several machines is true: its commands are run as printed, on a real database and a real Redis."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import RedisServer

from ledger.chain.local.anvil import stop_detached

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "scale-out.md"


@pytest.mark.slow
def test_the_page_about_several_machines_runs_as_it_is_printed(tmp_path: Path, new_url: Callable[[str], str]) -> None:
    script = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ETH_", "ATH_LEDGER_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    redis = RedisServer(tmp_path)
    redis.start()
    environment |= {"DATABASE_URL": new_url("postgresql"), "BROKER_URL": redis.url}
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
    finally:
        stop_detached(tmp_path / "machine-a" / "chain")
        redis.kill()
    said = done.stdout[-3000:] + done.stderr[-3000:] + (tmp_path / "worker-b.log").read_text()[-3000:]
    assert done.returncode == 0, said
    assert "proposed" in done.stdout, said
    for machine in ("machine-a", "machine-b"):
        assert not list((tmp_path / machine / "evidence").rglob("*.json")), "evidence lives in the database"
