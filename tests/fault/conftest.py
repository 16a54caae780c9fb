"""Players that can be killed, and what a played workspace leaves behind, to be compared byte for byte."""

import hashlib
import json
import os
import select
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.chain.local.anvil import find_running, stop_detached
from ledger.db.faultpoint import FAULTPOINT_VARIABLE

PROGRAM = Path(__file__).with_name("rehearsal_process.py")
UNHURT = 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long runs are played only when they are asked for: `pytest -m slow tests/fault`."""
    if "slow" not in config.option.markexpr:
        here = Path(__file__).parent
        long = [item for item in items if here in item.path.parents and item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


_HOW_OFTEN_LOOKED = {"chain_finality", "chain_blocks", "outbox_events"}
"""Tables that keep every look at the chain: a run that was interrupted has looked more often."""
_WHEN_WRITTEN = {"recorded_at"}
"""Outside every hash: the chain's second at which a row was written."""


@dataclass(slots=True)
class Player:
    """Plays rehearsals in processes of their own, one at a time."""

    server: "subprocess.Popen[str]"

    @classmethod
    def open(cls) -> "Player":
        environment = {name: value for name, value in os.environ.items() if name != FAULTPOINT_VARIABLE}
        command = [sys.executable, str(PROGRAM), "serve"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return cls(subprocess.Popen(command, text=True, bufsize=1, env=environment, **pipes))  # type: ignore[call-overload]

    def start(self, network: str, root: Path, faultpoint: str = "", times: int = 1) -> int:
        """Begin to play; the process id."""
        self._write({"network": network, "workspace": str(root), "faultpoint": faultpoint, "times": times})
        return int(self._read()["started"])

    def end(self) -> int:
        """Wait for the end; the exit code, negative for a signal."""
        return int(self._read()["ended"])

    def has_ended_within(self, seconds: float) -> bool:
        """Whether the process ended in that time; `end()` says how."""
        assert self.server.stdout is not None
        return bool(select.select([self.server.stdout], [], [], seconds)[0])

    def play(self, network: str, root: Path, faultpoint: str = "", times: int = 1) -> int:
        """Play to the end, or to the faultpoint."""
        self.start(network, root, faultpoint, times)
        return self.end()

    def close(self) -> None:
        """End the server; what it has started is ended by its tests."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def _write(self, order: dict[str, str | int]) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(order) + "\n")

    def _read(self) -> dict[str, Any]:
        assert self.server.stdout is not None
        answer: dict[str, Any] = json.loads(self.server.stdout.readline())
        return answer


@pytest.fixture(scope="session")
def player() -> Iterator[Player]:
    playing = Player.open()
    yield playing
    playing.close()


@pytest.fixture(scope="session")
def second_player() -> Iterator[Player]:
    playing = Player.open()
    yield playing
    playing.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Path]:
    """Where a workspace is to be played; whatever chain is left there is stopped."""
    root = tmp_path / "workspace"
    yield root
    if (root / "chain").is_dir():
        stop_detached(root / "chain")


def kill_chain(root: Path) -> bool:
    """End the workspace's chain as a power cut would; False when there is none to end."""
    node = find_running(root / "chain") if (root / "chain").is_dir() else None
    if node is None:
        return False
    node.kill()
    return True


def remains(root: Path) -> dict[str, Any]:
    """All that must not depend on who was killed when: tables, files, and what the chain says."""
    found: dict[str, Any] = json.loads((root.parent / "outcome.json").read_text())
    connection = sqlite3.connect(root / "ledger.sqlite")
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in sorted(set(names) - _HOW_OFTEN_LOOKED):
            found[f"table {name}"] = _rows(connection, name)
        last = "SELECT intent_seq, state, tx_hash, block_hash FROM outbox_events GROUP BY intent_seq HAVING MAX(number)"
        found["outbox's last words"] = sorted(connection.execute(last).fetchall())
    finally:
        connection.close()
    for folder in ("evidence", "artefacts"):
        found[folder] = {
            str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted((root / folder).rglob("*"))
            if file.is_file() and not file.name.startswith(".")
        }
    return found


def _rows(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    rows = [dict(zip(columns, row, strict=True)) for row in connection.execute(f"SELECT * FROM {table}")]
    kept = [{name: value for name, value in row.items() if name not in _WHEN_WRITTEN} for row in rows]
    return sorted(kept, key=repr)


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Which parts differ, and the first rows that do."""
    said = []
    for part in sorted(ours.keys() | theirs.keys()):
        one, two = ours.get(part), theirs.get(part)
        if one != two:
            said.append(f"{part}: {_first_difference(one, two)}")
    return said


def _first_difference(one: Any, two: Any) -> str:
    if isinstance(one, list) and isinstance(two, list):
        pairs = [(mine, other) for mine, other in zip(one, two, strict=False) if mine != other]
        return f"{len(one)} and {len(two)} rows, {str(pairs[:1])[:600]}"
    return f"{str(one)[:300]} / {str(two)[:300]}"


@pytest.fixture(scope="session")
def undisturbed(player: Player, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """What a network leaves, by its name, when nobody disturbs it; played once."""
    known: dict[str, dict[str, Any]] = {}

    def played(network: str) -> dict[str, Any]:
        if network not in known:
            root = tmp_path_factory.mktemp("undisturbed") / "workspace"
            assert player.play(network, root) == UNHURT, (root.parent / "play.log").read_text()
            known[network] = remains(root)
        return known[network]

    return played


@pytest.fixture(scope="session")
def differences_from_undisturbed(undisturbed: Callable[[str], dict[str, Any]]) -> Callable[[str, Path], list[str]]:
    """What a played workspace has otherwise than one of the same network that nobody disturbed."""
    return lambda network, root: differences(undisturbed(network), remains(root))


@pytest.fixture(scope="session")
def end_chain() -> Callable[[Path], bool]:
    """Ends a workspace's chain as a power cut would; False when none runs."""
    return kill_chain


@pytest.fixture(scope="session")
def last_words() -> Callable[[Path], str]:
    """What the players of a workspace said last."""
    return lambda root: (root.parent / "play.log").read_text(encoding="utf-8")[-800:]
