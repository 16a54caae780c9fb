"""The wheel works installed alone: contracts, migrations, tables and figures travel with it."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ledger.chain.local.anvil import find_anvil

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


def _closure(wheel: PathDistribution) -> set[str]:
    """The names of what the wheel requires to run, and what that requires."""
    found: set[str] = set()
    waiting = [Requirement(each) for each in wheel.requires or []]
    while waiting:
        wanted = waiting.pop()
        if wanted.name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        found.add(wanted.name)
        try:
            known = distribution(wanted.name)
        except PackageNotFoundError:
            continue  # of another platform, or of an extra: what is missing, the run below would miss
        extras = [{"extra": extra} for extra in (*wanted.extras, "")]
        for each in map(Requirement, known.requires or []):
            if each.marker is None or any(each.marker.evaluate(extra) for extra in extras):
                waiting.append(Requirement(each.name))
    return found


@pytest.fixture(scope="module")
def bare(installed: Path) -> list[str]:
    """Python with the standard library, the wheel and what the wheel itself requires: nothing else is importable."""
    (metadata,) = installed.glob("ath_ledger-*.dist-info")
    wheel = PathDistribution(metadata)
    needed = installed.parent / "needed"
    needed.mkdir()
    for name in _closure(wheel):
        try:
            known = distribution(name)
        except PackageNotFoundError:
            continue
        tops = {Path(str(file)).parts[0] for file in known.files or [] if not str(file).startswith("..")}
        for top in tops - {"__pycache__"}:
            if not (needed / top).exists():
                (needed / top).symlink_to(Path(str(known.locate_file(top))))
    paths = f"import sys; sys.path += [{str(installed)!r}, {str(needed)!r}]"
    return [sys.executable, "-I", "-S", "-c", f"{paths}; {COMMAND}"]


def test_somebody_with_a_bundle_and_the_wheel_confirms_the_epoch_and_sees_every_change(
    installed: Path, bare: list[str], tmp_path: Path
) -> None:
    assert _run(installed, tmp_path, "demo", "--example", "-w", "ledger").returncode == 0
    exported = _run(installed, tmp_path, "audit", "export", "--epoch", "0", "--out", "epoch-0.zip", "-w", "ledger")
    assert exported.returncode == 0, exported.stderr
    content = (tmp_path / "epoch-0.zip").read_bytes()
    desk = tmp_path / "desk"
    desk.mkdir()
    bundle = desk / "bundle.zip"

    def verify() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*bare, "audit", "verify", str(bundle)], cwd=desk, env={}, capture_output=True, text=True, check=False
        )

    bundle.write_bytes(content)
    confirmed = verify()
    assert confirmed.returncode == 0, confirmed.stderr
    assert "verified epoch 0" in confirmed.stderr
    for at in (0, len(content) // 3, 2 * len(content) // 3, len(content) - 1):
        bundle.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        refused = verify()
        assert (refused.returncode, refused.stderr[:7]) == (4, "bundle."), refused.stderr
    assert list(desk.iterdir()) == [bundle]


def test_the_wheel_carries_no_caches_and_no_tests(installed: Path) -> None:
    strangers = [
        path for path in installed.iterdir() if path.name not in {"ledger", "bin"} and path.suffix != ".dist-info"
    ]
    assert strangers == []
    assert (installed / "ledger" / "data" / "alembic" / "env.py").is_file()
