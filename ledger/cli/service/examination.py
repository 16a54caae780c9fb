"""What `doctor` looks at, in its order: settings, folders, keys, broker, books, chain."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.cli.service.chain_examination import ON_BOTH, ON_CHAIN, on_chain
from ledger.cli.shared.progress import bar

if TYPE_CHECKING:
    from ledger.chain.deploying.deployment import Deployment
    from ledger.model.units import Timestamp
    from ledger.steps.checkup.doctor import Answer, Finding
    from ledger.steps.ledger import Ledger
    from ledger.workspace import Workspace

_ON_BOOKS = (
    "journal", "network", "writable", "recorded", "artefacts", "evidence", "epochs", "suspense", "outbox",
    "submissions",
)  # fmt: skip


def examination(root: Path, *, full: bool) -> "Iterator[Finding]":
    """One finding after the other; what cannot be looked at is skipped, with the reason."""
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
        yield from (skipped(name, "the settings cannot be read") for name in ("folders", *_ON_BOOKS, *ON_CHAIN))
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
        yield from (skipped(name, "there are no contracts yet") for name in (*_ON_BOOKS, *ON_CHAIN))
        return
    with ExitStack() as open_things:
        opened: list[Ledger] = []

        def database() -> "Answer":
            opened.append(place.open(read_only=True))
            open_things.callback(opened[0].close)
            return well(f"{opened[0].database.place} can be read")

        yield (books := examine("database", database))
        if books.health is Health.FAILED:
            yield from (skipped(name, "the database cannot be read") for name in (*_ON_BOOKS, *sorted(ON_BOTH)))
            yield from on_chain(place, deployments[0], None)
            return
        now = None if place.settings.clock == "chain" else SystemClock().now()
        yield from _on_books(opened[0], root, deployments[0], now, full=full)
        yield from on_chain(place, deployments[0], opened[0])


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
