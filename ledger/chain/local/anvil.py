"""Anvil, the local chain: found, started on a free port, kept on disk, stopped.

Runs the real binary without npm's Node launcher, so that the process id in the pid file is the chain's own.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import ledger
from ledger.chain.errors import AnvilError
from ledger.chain.local.anvil_state import LIVE_FILE, adopt_live_state, ready_state
from ledger.db.faultpoint import faultpoint
from ledger.model.units import Timestamp

ANVIL_CHAIN_ID: Final = 31337
LOCK_FILE: Final = "anvil.lock"
"""In the chain's folder: locked by whoever starts its chain, and by the running chain itself until it ends."""
PID_FILE: Final = "anvil.pid"
LOG_FILE: Final = "anvil.log"
"""Anvil's own output, which says where it listens."""

_INSTALL: Final = "npm install --prefix contracts, or set ATH_LEDGER_ANVIL to the anvil binary"
_LISTENING: Final = re.compile(rb"Listening on (\S+)")
_START_SECONDS: Final = 20
_STOP_SECONDS: Final = 20
_KEEPING: Final = ("--state-interval", "1", "--preserve-historical-states")
_outliving: "list[AnvilProcess]" = []
"""Chains that may run on after this process: Python warns of a child that is forgotten while it runs."""


def find_anvil() -> Path:
    """The Anvil binary: `ATH_LEDGER_ANVIL`, then the project's own node_modules, then PATH.

    Raises AnvilError with the install command.
    """
    chosen = os.environ.get("ATH_LEDGER_ANVIL")
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise AnvilError(f"ATH_LEDGER_ANVIL names {chosen}, which is not an executable file", hint=_INSTALL)
        return _binary_behind(Path(chosen))
    for modules in (_project_modules(), Path.cwd() / "contracts" / "node_modules"):
        for binary in sorted(modules.glob("@foundry-rs/anvil-*/bin/anvil")):
            if os.access(binary, os.X_OK):
                return binary
    found = shutil.which("anvil")
    if found:
        return _binary_behind(Path(found))
    raise AnvilError("anvil is not installed", hint=_INSTALL)


def _binary_behind(program: Path) -> Path:
    """The binary an npm wrapper script starts: the wrapper's own process is not the chain and cannot be recognised."""
    with program.open("rb") as file:
        if file.read(2) != b"#!":
            return program
    for folder in program.resolve().parents:
        for binary in sorted(folder.glob("@foundry-rs/anvil-*/bin/anvil")):
            if os.access(binary, os.X_OK):
                return binary
    raise AnvilError(f"{program} is a script that starts anvil, not anvil itself", hint="name the binary instead")


def _project_modules() -> Path:
    return Path(ledger.__file__).resolve().parents[1] / "contracts" / "node_modules"


@dataclass(slots=True)
class AnvilProcess:
    """A running Anvil. Use as a context manager, or `stop()` it; `kill()` is for tests of what survives."""

    rpc_url: str
    pid: int
    _child: "subprocess.Popen[bytes] | None"

    @classmethod
    def start(
        cls,
        state_file: Path | None = None,
        *,
        port: int = 0,
        timestamp: Timestamp | None = None,
        chain_id: int = ANVIL_CHAIN_ID,
        log_file: Path | None = None,
        slots_in_an_epoch: int | None = None,
        mnemonic: str | None = None,
    ) -> Self:
        """Start a chain on 127.0.0.1 and wait until it listens; port 0 takes a free one.

        With `state_file` the chain continues where it stopped: its clock too, at the last block's time
        (Anvil alone would mine a chain of 2023 at today's time). `timestamp` is the first block's time of a
        new chain. State is written every second and at `stop()`.
        """
        command = [str(find_anvil()), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id)]
        if state_file is not None:
            state_file.parent.mkdir(parents=True, exist_ok=True)
            command += ["--state", str(state_file), *_KEEPING]
            timestamp = ready_state(state_file) or timestamp
        if timestamp is not None:
            command += ["--timestamp", str(timestamp)]
        if slots_in_an_epoch is not None:
            command += ["--slots-in-an-epoch", str(slots_in_an_epoch)]
        if mnemonic is not None:
            command += ["--mnemonic", mnemonic]
        with log_file.open("w+b") if log_file is not None else tempfile.TemporaryFile() as out:
            return cls.launch(command, out)

    @classmethod
    def launch(cls, command: list[str], out: IO[bytes], inherited: tuple[int, ...] = ()) -> Self:
        """Run an Anvil command and wait until it listens; it writes to `out` and keeps the inherited descriptors."""
        # the output goes to a file, not a pipe: the chain would block when nobody reads on
        child = subprocess.Popen(  # noqa: S603 - the binary `find_anvil` chose
            command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=inherited
        )
        return cls(rpc_url=_await_address(child, out.fileno()), pid=child.pid, _child=child)

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        if self._child is not None:
            return self._child.poll() is None
        return _is_anvil(self.pid)

    def stop(self) -> None:
        """End the chain and wait until it has written its state. Stopping twice is harmless."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the chain as a power cut would; at most the last second of it is lost."""
        self._end(signal.SIGKILL)

    def release(self) -> None:
        """Let the chain outlive this process: from here on it is known by its pid alone."""
        if self._child is not None:
            self._child.returncode = 0  # else Popen warns that a child was left running, which is the intent
        self._child = None

    def _end(self, how: signal.Signals) -> None:
        if self.is_running:
            os.kill(self.pid, how)
        if self._child is not None:
            try:
                self._child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            return
        deadline = time.monotonic() + _STOP_SECONDS
        while self.is_running:
            if time.monotonic() > deadline:
                raise AnvilError(f"anvil (process {self.pid}) does not stop", hint=f"kill {self.pid}")
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_detached(
    folder: Path, *, port: int = 0, timestamp: Timestamp | None = None, chain_id: int = ANVIL_CHAIN_ID
) -> AnvilProcess:
    """Start the folder's chain so that it outlives this process, or return the one that already runs.

    The chain itself holds the folder's lock, so two never write one state, not even after whoever started the
    first was killed before it knew the chain's address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with (folder / LOCK_FILE).open("ab") as lock:
            if _is_free(lock):
                return _start_locked(folder, lock, port, timestamp, chain_id)
        running = find_running(folder)
        if running is not None:
            return running
        time.sleep(0.02)
    raise AnvilError(f"a chain holds {folder / LOCK_FILE} and does not say where it listens", hint=f"read {LOG_FILE}")


def _start_locked(folder: Path, lock: IO[bytes], port: int, timestamp: Timestamp | None, chain_id: int) -> AnvilProcess:
    """Start the chain as the heir of the lock."""
    state = adopt_live_state(folder)
    (folder / PID_FILE).unlink(missing_ok=True)
    began = ready_state(state) or timestamp
    command = [str(find_anvil()), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id)]
    command += ["--dump-state", str(folder / LIVE_FILE), *_KEEPING]
    command += ["--load-state", str(state)] if state.exists() else []
    command += ["--timestamp", str(began)] if began is not None else []
    # the shell writes the id it will have as Anvil: there is no moment at which a chain runs that nobody can find
    announced = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(folder / PID_FILE), *command]
    with (folder / LOG_FILE).open("w+b") as out:
        node = AnvilProcess.launch(announced, out, inherited=(lock.fileno(),))
    _outliving.append(node)
    faultpoint("anvil.after_start")
    return node


def find_running(folder: Path) -> AnvilProcess | None:
    """The folder's running chain, whoever started it; None while it is not there, or not yet."""
    try:
        with (folder / LOCK_FILE).open("rb") as lock:
            if _is_free(lock):
                return None
        pid = int((folder / PID_FILE).read_text(encoding="utf-8"))
        said = _LISTENING.search((folder / LOG_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if said is None or not _is_anvil(pid):
        return None
    ours = (node for node in _outliving if node.pid == pid)
    return next(ours, None) or AnvilProcess(rpc_url="http://" + said[1].decode(), pid=pid, _child=None)


def stop_detached(folder: Path) -> bool:
    """Stop the folder's chain; False when none was running."""
    node = find_running(folder)
    if node is None:
        return False
    node.stop()
    faultpoint("anvil.after_stop")
    with (folder / LOCK_FILE).open("rb") as lock:
        if _is_free(lock):  # else somebody has started it again already
            adopt_live_state(folder, ended_cleanly=True)
    return True


def _is_free(lock: IO[bytes]) -> bool:
    """Take the lock if nobody has it; it is given back when every process that inherited it has ended."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await_address(child: "subprocess.Popen[bytes]", output: int) -> str:
    """Read the node's output file until it says where it listens."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        alive = child.poll() is None
        seen = os.pread(output, 100_000, 0)
        match = _LISTENING.search(seen)
        if match and alive:
            return "http://" + match[1].decode()
        if not alive or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    child.kill()
    child.wait()
    last = seen.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
    raise AnvilError(f"anvil did not start: {last[0]}", hint="read the message; is the port free?")


def _is_anvil(pid: int) -> bool:
    """Whether the process is alive and is Anvil: process ids are reused after a restart of the machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    command = Path(f"/proc/{pid}/cmdline")
    if not command.parent.exists():  # no /proc on this system: the signal's answer is all there is
        return True
    try:
        words = command.read_bytes().split(b"\0")
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return b"anvil" in words[0] and status.rpartition(")")[2].split()[0] != "Z"
