"""`ath-ledger doctor`: everything a start needs, looked at one by one, with what to do. It changes nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.cli.opening import WorkspaceOption, workspace_path
from ledger.cli.output import Format, Output, emit_rows, talk
from ledger.cli.progress import bar

if TYPE_CHECKING:
    from ledger.chain.connection import Connection
    from ledger.chain.deployment import Deployment
    from ledger.chain.signer import Signer
    from ledger.model.units import Timestamp
    from ledger.steps.checkup.doctor import Answer, Finding
    from ledger.steps.ledger import Ledger
    from ledger.workspace import Workspace

_ON_BOOKS = (
    "journal", "network", "writable", "recorded", "artefacts", "evidence", "epochs", "suspense", "outbox",
    "submissions",
)  # fmt: skip
_ON_CHAIN = ("contracts", "endpoints", "roles", "publisher", "level", "keys", "treasury", "policy", "clock")
_ON_BOTH = frozenset({"level", "policy"})


def add_to(app: typer.Typer) -> None:
    """Put `doctor` into the command tree."""
    app.command("doctor")(doctor)


def doctor(
    workspace: WorkspaceOption = None,
    full: Annotated[bool, typer.Option("--full", help="read every stored file, not only the newest")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Check the workspace, the books, the files, the chain and the keys; say for each what to do.

    Ends with 0 when nothing stands in the way, 4 when something is not what was written, 5 for everything else.
    """
    from ledger.steps.checkup.doctor import Health, exit_code

    findings = list(_examination(workspace_path(workspace), full=full))
    emit_rows([_row(each) for each in findings], output)
    failed = [each for each in findings if each.health is Health.FAILED]
    talk(f"{len(failed)} of {len(findings)} checks failed" if failed else f"{len(findings)} checks, nothing in the way")
    if failed:
        page = f" ({failed[0].page})" if failed[0].page else ""
        talk(f"first: {failed[0].code}: {failed[0].found}. Next: {failed[0].remedy}{page}")
        raise typer.Exit(exit_code(findings))


def _row(finding: "Finding") -> dict[str, Any]:
    return {
        "check": finding.check,
        "health": finding.health.value,
        "code": finding.code,
        "found": finding.found,
        "next": finding.remedy,
        "page": finding.page,
    }


def _examination(root: Path, *, full: bool) -> "Iterator[Finding]":
    from ledger.model.clock import SystemClock
    from ledger.steps.checkup import folder as files
    from ledger.steps.checkup.doctor import Health, examine, skipped, well
    from ledger.workspace import FOLDERS, LOCK_FILE, Workspace, WorkspaceMissingError

    places: list[Workspace] = []

    def settings() -> "Answer":
        places.append(Workspace.at(root))
        return well(f"{root} is a workspace; its settings can be read")

    yield (first := examine("settings", settings))
    if not places:
        if first.code == WorkspaceMissingError.code:
            return
        yield from (skipped(name, "the settings cannot be read") for name in ("folders", *_ON_BOOKS, *_ON_CHAIN))
        return
    place = places[0]
    yield examine("folders", lambda: files.check_folders(root, FOLDERS))
    yield examine("disk", lambda: files.check_disk(root))
    yield examine("writer", lambda: files.check_writer(root / LOCK_FILE))
    yield from _surroundings(place)
    deployments: list[Deployment] = []

    def deployment() -> "Answer":
        deployments.append(place.deployment())
        return well(f"the contracts are on chain {deployments[0].chain_id}")

    yield examine("deployment", deployment)
    if not deployments:
        yield examine("database", lambda: _database(place))
        yield from (skipped(name, "there are no contracts yet") for name in (*_ON_BOOKS, *_ON_CHAIN))
        return
    with ExitStack() as open_things:
        opened: list[Ledger] = []

        def database() -> "Answer":
            opened.append(place.open(read_only=True))
            open_things.callback(opened[0].close)
            return well(f"{opened[0].database.place} can be read")

        yield (books := examine("database", database))
        if books.health is Health.FAILED:
            yield from (skipped(name, "the database cannot be read") for name in (*_ON_BOOKS, *sorted(_ON_BOTH)))
            yield from _on_chain(place, deployments[0], None)
            return
        now = None if place.settings.clock == "chain" else SystemClock().now()
        yield from _on_books(opened[0], root, deployments[0], now, full=full)
        yield from _on_chain(place, deployments[0], opened[0])


def _surroundings(place: "Workspace") -> "Iterator[Finding]":
    from ledger.steps.checkup.broker import check_broker, check_workers
    from ledger.steps.checkup.chain import check_machine_time
    from ledger.steps.checkup.doctor import Health, examine, skipped
    from ledger.steps.checkup.keys import check_keystores, keystores

    settings, root = place.settings, place.root
    passwords = [root / settings.publisher_password_file] if settings.publisher_password_file else []
    yield examine("keystores", lambda: check_keystores(keystores(root, settings.publisher_keystore), passwords))
    yield examine("time", check_machine_time)
    yield (broker := examine("broker", lambda: check_broker(settings.celery_broker_url)))
    if broker.health is Health.FAILED:
        yield skipped("workers", "the broker does not answer")
    else:
        yield examine("workers", lambda: check_workers(settings.celery_broker_url))


def _database(place: "Workspace") -> "Answer":
    from ledger.steps.checkup.doctor import well

    database = place.open_database(read_only=True)
    database.close()
    return well(f"{database.place} can be read")


def _on_books(
    ledger: "Ledger", root: Path, deployment: "Deployment", now: "Timestamp | None", *, full: bool
) -> "Iterator[Finding]":
    from ledger.steps.checkup import books
    from ledger.steps.checkup import folder as files
    from ledger.steps.checkup.books_check import entry_count
    from ledger.steps.checkup.doctor import examine, well

    def journal() -> "Answer":
        with bar(entry_count(ledger.database), "walking the journal") as advance:
            return books.check_journal(ledger.database, advance)

    def evidence() -> "Answer":
        with bar(files.evidence_count(ledger) if full else 0, "reading the evidence") as advance:
            return files.check_evidence(ledger, full=full, advance=advance)

    def recorded() -> "Answer":
        if now is None:
            return well("the time is that of the chain's last block")
        return books.check_recorded_times(ledger.database, now)

    def artefacts() -> "Answer":
        return files.check_artefacts(ledger, root, full=full, advance=lambda _files: None)

    yield examine("journal", journal)
    yield examine("network", lambda: books.check_network(ledger.database, deployment))
    yield examine("writable", lambda: books.check_writable(ledger.database))
    yield examine("recorded", recorded)
    yield examine("artefacts", artefacts)
    yield examine("evidence", evidence)
    yield examine("epochs", lambda: books.check_epochs(ledger.database))
    yield examine("suspense", lambda: books.check_suspense(ledger.database))
    yield examine("outbox", lambda: books.check_outbox(ledger.database, deployment.chain_id, now))
    yield examine("submissions", lambda: books.check_submissions(ledger.database, now))


def _on_chain(place: "Workspace", deployment: "Deployment", ledger: "Ledger | None") -> "Iterator[Finding]":
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
                skipped(name, "the chain cannot be read") for name in _ON_CHAIN[1:] if ledger or name not in _ON_BOTH
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
        yield from (examine(name, checks[name]) for name in _ON_CHAIN if name in checks)


def _connected(url: str, deployment: "Deployment") -> "Connection":
    from ledger.chain.connection import connect

    return connect(url, expected_chain_id=deployment.chain_id, expected_genesis_hash=deployment.genesis_hash)


@contextmanager
def _node(place: "Workspace") -> Iterator[tuple[str, str]]:
    """Where to ask, and how that node came about. An own Anvil that sleeps is looked at in a copy of its state."""
    import shutil
    import tempfile

    from ledger.chain.anvil import AnvilProcess, find_running
    from ledger.chain.anvil_state import LIVE_FILE, STATE_FILE, adopt_live_state
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
    from ledger.chain.signer import open_keystore, read_password
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
    from ledger.steps.ledger import Settlement
    from ledger.steps.restoring.lag import require_level

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
