"""Who may be in a workspace with whom: workers and commands beside each other, what reshapes it alone."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.workspace import Workspace, WorkspaceBusyError

HOLD = """
import sys
from pathlib import Path
from ledger.workspace import Workspace
with getattr(Workspace.at(Path(sys.argv[1])), sys.argv[2])():
    print("in", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(root: Path, way: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that is in the workspace for the block."""
    command = [sys.executable, "-c", HOLD, str(root), way]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ledger", {})


def test_many_work_beside_each_other(workspace: Workspace) -> None:
    with another(workspace.root, "writing"), workspace.writing(), workspace.writing():
        pass


def test_who_reshapes_it_has_it_alone(workspace: Workspace) -> None:
    with another(workspace.root, "reshaping") as holder:
        for way in (workspace.writing, workspace.reshaping):
            with pytest.raises(WorkspaceBusyError, match=f"process {holder.pid} has"), way():
                pass
    with workspace.reshaping():
        pass


def test_nobody_reshapes_it_while_others_work(workspace: Workspace) -> None:
    with another(workspace.root, "writing"):
        with pytest.raises(WorkspaceBusyError, match="others are working"), workspace.reshaping():
            pass
        with workspace.writing():
            pass
    with workspace.reshaping():
        pass
