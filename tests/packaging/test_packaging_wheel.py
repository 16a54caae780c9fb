"""The wheel works installed alone: contracts, migrations, tables and figures travel with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.chain.anvil import find_anvil

ROOT = Path(__file__).parents[2]
COMMAND = "import sys; from ledger.cli import main; sys.argv[0] = 'ath-ledger'; main()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the unpacked wheel and nothing of the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(folder.glob("*.whl"))
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return target


def _run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "ATH_LEDGER_ANVIL": str(find_anvil())}
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installed_package_is_the_wheel(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    where = subprocess.run(
        [sys.executable, "-c", "import ledger; print(ledger.__file__)"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)


def test_the_worked_example_settles_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, tmp_path, "demo", "--example", "-w", "ledger")
    assert done.returncode == 0, done.stderr
    assert "721.62223188084855133 ATH" in done.stdout
    verified = _run(installed, tmp_path, "audit", "verify", "--epoch", "0", "--offline", "-w", "ledger")
    assert verified.returncode == 0, verified.stderr


def test_the_wheel_carries_no_caches_and_no_tests(installed: Path) -> None:
    strangers = [
        path for path in installed.iterdir() if path.name not in {"ledger", "bin"} and path.suffix != ".dist-info"
    ]
    assert strangers == []
    assert (installed / "ledger" / "data" / "alembic" / "env.py").is_file()
