"""What `doctor` looks at on the chain a workspace settles on: node, contracts, roles, keys, level, clock."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment
    from ledger.chain.node.connection import Connection
    from ledger.chain.sending.signer import Signer
    from ledger.steps.checkup.doctor import Answer, Finding
    from ledger.steps.ledger import Ledger
    from ledger.workspace import Workspace

ON_CHAIN = ("contracts", "endpoints", "roles", "publisher", "level", "keys", "treasury", "policy", "clock")
ON_BOTH = frozenset({"level", "policy"})
"""Those that need the books as well."""


def on_chain(place: "Workspace", deployment: "Deployment", ledger: "Ledger | None") -> "Iterator[Finding]":
    """The findings on the chain; `ledger` None where the books cannot be read."""
    from ledger.steps.checkup import chain
    from ledger.steps.checkup.doctor import Health, examine, skipped
    from ledger.steps.checkup.keys import check_key_holders, keystores

    with ExitStack() as open_things:
        connections: list[Connection] = []

        def contracts() -> "Answer":
            url, what = open_things.enter_context(_node(place))
            connections.append(_connected(url, deployment))
            health, found, code, remedy = chain.check_contracts(connections[0], deployment)
            return (health, found + what, code, remedy)

        yield (first := examine("contracts", contracts))
        if first.health is Health.FAILED:
            yield from (
                skipped(name, "the chain cannot be read") for name in ON_CHAIN[1:] if ledger or name not in ON_BOTH
            )
            return
        connection = connections[0]
        signers: list[Signer] = []
        checks: dict[str, Callable[[], Answer]] = {
            "endpoints": lambda: chain.check_endpoints(connection),
            "roles": lambda: chain.check_roles(connection, deployment),
            "publisher": lambda: _publisher(place, connection, deployment, signers),
            "keys": lambda: check_key_holders(
                connection, deployment, keystores(place.root, place.settings.publisher_keystore)
            ),
            "treasury": lambda: chain.check_treasury(connection, deployment),
            "clock": lambda: _clock(place, connection),
        }
        if ledger is not None:
            checks["policy"] = lambda: chain.check_policy(connection, deployment, ledger.database)
            checks["level"] = lambda: _level(connection, deployment, ledger, signers)
        yield from (examine(name, checks[name]) for name in ON_CHAIN if name in checks)


def _connected(url: str, deployment: "Deployment") -> "Connection":
    from ledger.chain.node.connection import connect

    return connect(url, expected_chain_id=deployment.chain_id, expected_genesis_hash=deployment.genesis_hash)


@contextmanager
def _node(place: "Workspace") -> Iterator[tuple[str, str]]:
    """Where to ask, and how that node came about. An own Anvil that sleeps is looked at in a copy of its state."""
    import shutil
    import tempfile

    from ledger.chain.local.anvil import AnvilProcess, find_running
    from ledger.chain.local.anvil_state import LIVE_FILE, STATE_FILE, adopt_live_state
    from ledger.workspace import ChainStoppedError

    if not place.is_own_chain:
        yield place.settings.rpc_url, ""
        return
    running = find_running(place.chain_folder)
    if running is not None:
        yield running.rpc_url, "; its Anvil runs"
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in (STATE_FILE, LIVE_FILE):
            if (place.chain_folder / name).is_file():
                shutil.copyfile(place.chain_folder / name, Path(folder) / name)
        state = adopt_live_state(Path(folder))
        if not state.is_file():
            raise ChainStoppedError(f"{place.chain_folder} holds no chain yet")
        with AnvilProcess.start(state) as node:
            yield node.rpc_url, "; its Anvil sleeps until it is needed"


def _publisher(
    place: "Workspace", connection: "Connection", deployment: "Deployment", unlocked: "list[Signer]"
) -> "Answer":
    """The publisher's key, unlocked once for the checks that want it."""
    from ledger.chain.sending.signer import open_keystore, read_password
    from ledger.steps.checkup.chain import check_publisher
    from ledger.steps.checkup.doctor import beware

    settings = place.settings
    if not settings.publisher_keystore:
        remedy = "set publisher_keystore and publisher_password_file in settings.toml, if it is to publish"
        return beware("settle.no-publisher", "this ledger follows and does not publish", remedy)
    password_file = settings.publisher_password_file
    password = read_password(place.root / password_file) if password_file else ""
    unlocked.append(open_keystore(place.root / settings.publisher_keystore, password))
    return check_publisher(connection, deployment, unlocked[0])


def _level(connection: "Connection", deployment: "Deployment", ledger: "Ledger", unlocked: "list[Signer]") -> "Answer":
    """The books know all that the chain has of us: no yesterday's backup, no second publisher (BehindChainError)."""
    from ledger.steps.checkup.doctor import Health, well
    from ledger.steps.settlement import Settlement
    from ledger.steps.transitions.lag import require_level

    if not unlocked:
        return (Health.SKIPPED, "there is no publisher to be level with", "", "")
    settlement = Settlement(
        connection=connection, deployment=deployment, finality=deployment.finality, publisher=unlocked[0]
    )
    ledger.connect = lambda: settlement  # the doctor's own way to the chain: none is started
    require_level(ledger)
    return well("the books know all the chain has of this publisher")


def _clock(place: "Workspace", connection: "Connection") -> "Answer":
    from ledger.model.clock import SystemClock
    from ledger.steps.checkup.chain import check_clock
    from ledger.steps.checkup.doctor import well

    if place.settings.clock == "chain":
        return well("the time is that of the chain's last block")
    return check_clock(connection, SystemClock().now())
