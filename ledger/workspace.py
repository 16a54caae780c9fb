"""A workspace: one folder with everything a local ledger has, opened into a `Ledger`.

    settings.toml  deployment.json  ledger.sqlite  evidence/  artefacts/  chain/  keys/  logs/
    cache/: what is derived from the rest and may be deleted

Any number of workers, servers and commands may work on it at once; what they do to one epoch or one account at a time
the database decides. What makes or reshapes the workspace itself has it alone: the second one is told so at once.
"""

import fcntl
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ledger.db.engine import Database, open_database
from ledger.db.faultpoint import faultpoint
from ledger.model.clock import SystemClock
from ledger.model.durable import draft_prefix
from ledger.model.errors import EnvironmentFailure, LedgerError, NotFoundError, UsageError
from ledger.settings import SETTINGS_FILE, Settings, chosen_settings, load_settings, write_settings

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment
    from ledger.chain.sending.signer import Signer
    from ledger.steps.ledger import Ledger
    from ledger.steps.settlement import Settlement

DATABASE_FILE = "ledger.sqlite"
DEPLOYMENT_FILE = "deployment.json"
CHAIN_FOLDER = "chain"
CACHE_FOLDER = "cache"
LOCK_FILE = ".lock"
CHAIN_USE_FILE = ".users"
FOLDERS = ("evidence", "artefacts", CHAIN_FOLDER, "keys", "logs")


class WorkspaceMissingError(NotFoundError):
    """There is no workspace in this folder."""

    code = "workspace.missing"
    default_hint = "ath-ledger init, or name one with --workspace DIR or ATH_LEDGER_WORKSPACE"


class WorkspaceBusyError(EnvironmentFailure):
    """This needs the workspace in a way that somebody else is in."""

    code = "workspace.busy"
    default_hint = "wait for the other command to end, or stop the workers and servers, and run this one again"


class ChainStoppedError(EnvironmentFailure):
    """The workspace's own chain does not run."""

    code = "chain.stopped"
    retryable = False
    default_hint = "ath-ledger chain start"


class NotDeployedError(NotFoundError):
    """The workspace has no contracts yet."""

    code = "workspace.not-deployed"
    default_hint = "ath-ledger chain deploy"


class ChainLostError(EnvironmentFailure):
    """The state of the workspace's own chain is gone: a new chain would know nothing of these books."""

    code = "chain.lost"
    retryable = False
    default_hint = "put the old workspace's chain/ back; it is not in a backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace's folder and settings. Nothing is opened until it is asked for."""

    root: Path
    settings: Settings

    @classmethod
    def at(cls, root: Path) -> "Workspace":
        """The workspace in a folder. WorkspaceMissingError when there is none."""
        if not (root / SETTINGS_FILE).is_file():
            raise WorkspaceMissingError(f"there is no workspace at {root}")
        return cls(root=root, settings=load_settings(root))

    @classmethod
    def create(cls, root: Path, settings: dict[str, str | int]) -> "Workspace":
        """Make a workspace with an empty database; a workspace that is there already is returned as it is.

        The settings come last: a workspace that was killed in the making has none, and the next call finishes it.
        """
        if root.is_file():
            raise UsageError(f"{root} is a file", hint="name an empty or a new folder")
        if (root / SETTINGS_FILE).is_file():
            return cls.at(root)
        if root.exists() and not _is_only_begun(root):
            raise UsageError(f"{root} is not empty and holds no workspace", hint="name an empty or a new folder")
        for name in FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "keys").chmod(0o700)
        from ledger.db.migrations import upgrade  # Alembic; no other command pays for its import

        faultpoint("create.before_database")
        database = open_database(cls(root=root, settings=chosen_settings(root, settings)).database_url, create=True)
        upgrade(database)
        database.close()
        faultpoint("create.before_settings")
        write_settings(root, settings)
        faultpoint("create.after_settings")
        return cls.at(root)

    @property
    def database_url(self) -> str:
        """Where the books are."""
        return self.settings.database_url or f"sqlite:///{self.root / DATABASE_FILE}"

    @property
    def deployment_file(self) -> Path:
        """Which contracts this ledger settles through."""
        return self.root / DEPLOYMENT_FILE

    @property
    def chain_folder(self) -> Path:
        """State of the workspace's own Anvil."""
        return self.root / CHAIN_FOLDER

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Work on the ledger, beside others who do. WorkspaceBusyError while a command has the workspace alone."""
        with (self.root / LOCK_FILE).open("a+") as file:
            self._lock(file, fcntl.LOCK_SH)
            yield

    @contextmanager
    def reshaping(self) -> Iterator[None]:
        """Have the workspace alone: to make it, to deploy, to start its chain, to migrate its database.

        WorkspaceBusyError while anybody works on it.
        """
        with (self.root / LOCK_FILE).open("a+") as file:
            self._lock(file, fcntl.LOCK_EX)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def _lock(self, file: IO[str], how: int) -> None:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read(20).strip()
            who = f"process {holder} has {self.root} to itself" if holder else f"others are working on {self.root}"
            raise WorkspaceBusyError(who) from error

    def open_database(self, *, read_only: bool = False) -> Database:
        """The books, with their guards checked."""
        return open_database(self.database_url, read_only=read_only)

    @property
    def is_own_chain(self) -> bool:
        """Whether the ledger settles on the workspace's own Anvil."""
        return not self.settings.rpc_url

    def require_chain_state(self) -> None:
        """Raise ChainLostError when the contracts of these books were on a chain whose state is not here."""
        from ledger.chain.local.anvil_state import has_state

        if self.deployment_file.is_file() and not has_state(self.chain_folder):
            raise ChainLostError(f"{self.chain_folder} does not hold the chain that {self.deployment_file} names")

    def deployment(self) -> "Deployment":
        """The contracts this ledger settles through. NotDeployedError before there are any."""
        from ledger.chain.deploying.deployment import Deployment

        if not self.deployment_file.is_file():
            raise NotDeployedError(f"{self.root} has no {DEPLOYMENT_FILE}")
        return Deployment.read(self.deployment_file)

    def open(self, *, read_only: bool = False, start_chain: bool = True) -> "Ledger":
        """The whole ledger; the chain is reached on first use, and the workspace's own is started unless told not to.

        NotDeployedError before there are contracts, OtherNetworkError when the books belong to others.
        """
        from ledger.chain.local.demo_time import ChainClock
        from ledger.db.evidence import DatabaseStore
        from ledger.evidence.items.typed_data import Domain
        from ledger.evidence.storage.store import FolderStore
        from ledger.steps.establish import require_bound
        from ledger.steps.kept.artefact_store import DatabaseArtefacts
        from ledger.steps.kept.artefacts import ArtefactFolder
        from ledger.steps.ledger import Ledger

        deployment = self.deployment()
        database = self.open_database(read_only=read_only)
        try:
            require_bound(database, deployment)
        except LedgerError:
            database.close()
            raise
        chain, is_shared = _ChainLink(self, may_start=start_chain), database.dialect == "postgresql"
        clock = SystemClock() if self.settings.clock == "system" else ChainClock(lambda: chain.settlement().connection)
        return Ledger(
            database=database,
            # machines that share a database share no folder
            evidence=DatabaseStore(database) if is_shared else FolderStore(self.root / "evidence"),
            artefacts=DatabaseArtefacts(self.root) if is_shared else ArtefactFolder(self.root),
            cache=self.root / CACHE_FOLDER,
            clock=clock,
            calendar=deployment.calendar,
            domain=Domain(chain_id=deployment.chain_id, verifying_contract=deployment.addresses["RewardsLedger"]),
            connect=chain.settlement,
            disconnect=chain.close,
        )


def _is_only_begun(root: Path) -> bool:
    """Whether the folder holds nothing but what an unfinished `create` leaves: its empty folders and its database."""
    begun = (DATABASE_FILE, draft_prefix(root / SETTINGS_FILE))
    return all(
        (entry.name in FOLDERS and entry.is_dir() and not any(entry.iterdir())) or entry.name.startswith(begun)
        for entry in root.iterdir()
    )


class _ChainLink:
    """The workspace's way to its chain: made on first use; an Anvil it had to start is stopped when nobody needs it."""

    def __init__(self, workspace: Workspace, *, may_start: bool) -> None:
        self._workspace = workspace
        self._may_start = may_start
        self._settlement: Settlement | None = None
        self._use: int | None = None
        self._leave: Callable[[], object] = lambda: None
        self._started = False

    def settlement(self) -> "Settlement":
        """The checked connection with contracts and publisher."""
        if self._settlement is None:
            self._settlement = self._open()
        return self._settlement

    def close(self) -> None:
        """Stop the chain if this process started it and no other one uses it."""
        from ledger.chain.local.anvil import stop_detached

        if self._started and self._use is not None and _alone(self._use):
            stop_detached(self._workspace.chain_folder)
        self._leave()
        self._started, self._settlement, self._use = False, None, None

    def _open(self) -> "Settlement":
        from ledger.chain.local.demo_time import DemoTime
        from ledger.chain.node.connection import connect
        from ledger.chain.sending.fees import GWEI, FeePolicy
        from ledger.steps.settlement import Settlement

        deployment = self._workspace.deployment()
        connection = connect(
            self._rpc_url(),
            expected_chain_id=deployment.chain_id,
            expected_genesis_hash=deployment.genesis_hash,
        )
        deployment.check(connection)
        if self._workspace.is_own_chain:
            DemoTime(connection)  # Anvil forgets its block interval when it restarts
        return Settlement(
            connection=connection,
            deployment=deployment,
            finality=deployment.finality,
            publisher=self._publisher(),
            # fixed fees repeat byte for byte, so a rehearsal killed and run again has the same blocks
            fees=FeePolicy.fixed_fees()
            if self._workspace.is_own_chain
            else FeePolicy(cap_wei=self._workspace.settings.fee_cap_gwei * GWEI),
        )

    def _rpc_url(self) -> str:
        from ledger.chain.local.anvil import find_running, start_detached

        if not self._workspace.is_own_chain:
            return self._workspace.settings.rpc_url
        folder = self._workspace.chain_folder
        if self._use is None:
            self._use = os.open(folder / CHAIN_USE_FILE, os.O_RDWR | os.O_CREAT, 0o644)
            self._leave = weakref.finalize(self, os.close, self._use)
            fcntl.flock(self._use, fcntl.LOCK_SH)  # waits for one that is stopping it just now
        running = find_running(folder)
        if running is None:
            self._workspace.require_chain_state()
        if running is None and not self._may_start:
            raise ChainStoppedError(f"the chain of {self._workspace.root} does not run")
        self._started = self._started or running is None
        return (running or start_detached(folder)).rpc_url

    def _publisher(self) -> "Signer | None":
        from ledger.chain.sending.signer import open_keystore, read_password

        settings, root = self._workspace.settings, self._workspace.root
        if not settings.publisher_keystore:
            return None
        password = read_password(root / settings.publisher_password_file) if settings.publisher_password_file else ""
        return open_keystore(root / settings.publisher_keystore, password)


def _alone(use: int) -> bool:
    """Whether this process is the only one that uses the chain; then it stays so until the file is closed."""
    try:
        fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
