"""`ath-ledger db backup`, `restore`, `catch-up`: what a ledger cannot do without as one file, back, and up to date."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.shared.opening import WorkspaceOption, standing_of, workspace_at, workspace_path, writing
from ledger.cli.shared.output import Format, Output, emit_fact, talk
from ledger.model.units import to_hex

if TYPE_CHECKING:
    from ledger.steps.restoring.archive import Archive
    from ledger.steps.restoring.backup import Folder
    from ledger.workspace import Workspace

_OF_THE_PLACE = ("database_url",)
"""Settings that say where this ledger runs, and may hold a password."""


def add_to(app: typer.Typer) -> None:
    """Put the commands into `ath-ledger db`."""
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("catch-up")(catch_up)


def backup(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="the backup, a new file")],
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Write books, evidence and artefacts as they are now into one file, also while others work.

    Keystores, passwords and secrets.toml are not in it: keep them apart.
    """
    from ledger.steps.restoring.backup import write_backup

    place = workspace_at(workspace)
    database = place.open_database(read_only=True)
    try:
        done = write_backup(database, _folder_of(place, database.dialect), _documents(place), file)
    finally:
        database.close()
    emit_fact(
        {"file": str(file), "bytes": done.size, "entries": done.seq, "seal_head": to_hex(done.seal_head),
         "files": done.files}, output
    )  # fmt: skip


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a backup")],
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Put a backup into an empty folder, or an empty PostgreSQL database (ATH_LEDGER_DATABASE_URL), and check it.

    If the chain went on since the backup was made, nothing is sent from there until `ath-ledger db catch-up`.
    """
    from ledger.db.engine import open_database
    from ledger.model.durable import write_whole
    from ledger.settings import write_settings
    from ledger.steps.restoring.archive import open_archive
    from ledger.steps.restoring.restore import check_engine
    from ledger.steps.restoring.restore import restore as put_back
    from ledger.workspace import DEPLOYMENT_FILE, FOLDERS

    root = workspace_path(workspace)
    with open_archive(file) as archive:
        values = _settings_in(archive)
        place = _empty_place(root, values)
        check_engine(archive, "postgresql" if place.database_url.startswith("postgresql") else "sqlite")
        for name in FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "keys").chmod(0o700)
        with place.reshaping():
            database = open_database(place.database_url, create=True)
            try:
                done = put_back(archive, database, _folder_of(place, database.dialect))
            finally:
                database.close()
            if f"workspace/{DEPLOYMENT_FILE}" in archive.members:
                write_whole(root / DEPLOYMENT_FILE, archive.read(f"workspace/{DEPLOYMENT_FILE}"))
            write_settings(root, {**values, **_kept_secrets(root), **_place_of(place)})
    option = "" if workspace is None else f" -w {workspace}"
    talk("Next: put keys/ back, and of the old secrets.toml all but database_url; on a chain of its own, chain/ too;")
    talk(f"      then ath-ledger doctor{option}")
    emit_fact(
        {"workspace": str(root), "entries": done.entries, "seal_head": to_hex(done.seal_head),
         "accounts": done.accounts, "rows": done.rows, "files": done.files, "balanced": True}, output
    )  # fmt: skip


def catch_up(
    bundle: Annotated[
        list[Path] | None, typer.Option(exists=True, dir_okay=False, help="an epoch's bundle, with its evidence")
    ] = None,
    evidence_is_complete: Annotated[
        bool, typer.Option("--evidence-is-complete", help="the backup has all evidence of the epochs it had not frozen")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Bring books that were restored from a backup to where the chain is, without sending anything.

    Each epoch the chain has is computed again from its evidence, and only kept if it becomes the epoch on chain.
    """
    from ledger.audit.bundle.reading import read_bundle
    from ledger.steps.restoring.catch_up import catch_up as catch
    from ledger.steps.transitions.transition import sentence

    bundles = [read_bundle(memoryview(file.read_bytes())) for file in bundle or []]
    with writing(workspace) as ledger:
        by_epoch = {each.record.header.epoch: each for each in bundles}
        for result in catch(ledger, by_epoch, evidence_is_complete=evidence_is_complete):
            talk(sentence(result))
        talk(str(standing_of(ledger)))


def _folder_of(place: "Workspace", dialect: str) -> "Folder | None":
    from ledger.evidence.storage.store import FolderStore
    from ledger.steps.restoring.backup import Folder

    return Folder(root=place.root, evidence=FolderStore(place.root / "evidence")) if dialect == "sqlite" else None


def _documents(place: "Workspace") -> dict[str, bytes]:
    """The workspace's own texts; of the settings, what holds anywhere."""
    from ledger.settings import SETTINGS_FILE

    values = tomllib.loads((place.root / SETTINGS_FILE).read_text(encoding="utf-8"))
    kept = {name: value for name, value in values.items() if name not in _OF_THE_PLACE}
    documents = {SETTINGS_FILE: _toml(kept)}
    if place.deployment_file.is_file():
        documents[place.deployment_file.name] = place.deployment_file.read_bytes()
    return documents


def _place_of(place: "Workspace") -> dict[str, str]:
    """Where the books were put, so that every later command finds them there and nowhere else."""
    return {"database_url": place.settings.database_url} if place.settings.database_url else {}


def _kept_secrets(root: Path) -> dict[str, str | int]:
    """What stood in a secrets.toml that was put back before."""
    from ledger.settings import SECRETS_FILE

    file = root / SECRETS_FILE
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _toml(values: dict[str, str | int]) -> bytes:
    import json

    # a TOML basic string is a JSON string
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in sorted(values.items())).encode()


def _settings_in(archive: "Archive") -> dict[str, str | int]:
    from ledger.settings import SETTINGS_FILE
    from ledger.steps.restoring.archive import BackupDamagedError

    try:
        return tomllib.loads(archive.read(f"workspace/{SETTINGS_FILE}").decode())
    except ValueError as error:
        raise BackupDamagedError(f"its settings cannot be read: {error}") from error


def _empty_place(root: Path, values: dict[str, str | int]) -> "Workspace":
    """The workspace to be: a folder that holds nothing but what a killed restore left, keys and secrets."""
    from ledger.settings import SECRETS_FILE, SETTINGS_FILE, chosen_settings, load_settings
    from ledger.steps.restoring.restore import PlaceTakenError
    from ledger.workspace import DATABASE_FILE, DEPLOYMENT_FILE, FOLDERS, LOCK_FILE, Workspace

    ours = (*FOLDERS, DEPLOYMENT_FILE, LOCK_FILE, SECRETS_FILE)
    if (root / SETTINGS_FILE).exists():
        raise PlaceTakenError(f"there is a workspace at {root}")
    strange = [
        entry.name
        for entry in (sorted(root.iterdir()) if root.is_dir() else [])
        if entry.name not in ours
        and not entry.name.startswith((DATABASE_FILE, f".{DEPLOYMENT_FILE}", f".{SETTINGS_FILE}"))
    ]
    if strange or root.is_file():
        raise PlaceTakenError(f"{root} is not empty: {', '.join(strange[:3]) or 'a file'}")
    where = load_settings(root).database_url  # the environment's, or that of secrets.toml
    return Workspace(root=root, settings=chosen_settings(root, {**values, "database_url": where}))
