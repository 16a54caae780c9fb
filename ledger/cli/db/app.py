"""`ath-ledger db`: the database's schema, its check, its copy. `restoring` adds backup and restore."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.db import restoring
from ledger.cli.shared.opening import WorkspaceOption, workspace_at
from ledger.cli.shared.output import Format, Output, emit_fact, talk
from ledger.cli.shared.progress import bar
from ledger.model.units import to_hex

app = typer.Typer(name="db", help="The database: upgrade, check, back up, restore.", no_args_is_help=True)


@app.command()
def upgrade(workspace: WorkspaceOption = None, output: Output = Format.TABLE) -> None:
    """Bring the database to this version's schema; one that is there already is left as it is."""
    from ledger.db.engine import open_database
    from ledger.db.migrations import check
    from ledger.db.migrations import upgrade as migrate

    place = workspace_at(workspace)
    with place.reshaping():
        database = open_database(place.database_url, create=True)
        try:
            before = database.revision()
            after = migrate(database)
            check(database)
            where = database.place
        finally:
            database.close()
    talk("nothing to upgrade" if before == after else f"upgraded from {before or 'nothing'} to {after}")
    emit_fact({"database": where, "before": before, "revision": after}, output)


@app.command()
def check(workspace: WorkspaceOption = None, output: Output = Format.TABLE) -> None:
    """Walk every entry and transfer from the first, and hold schema, guards and balances against them."""
    from ledger.steps.checkup.books_check import check_books, entry_count

    database = workspace_at(workspace).open_database(read_only=True)
    try:
        with bar(entry_count(database), "walking the journal") as advance:
            found = check_books(database, advance)
        where = database.place
    finally:
        database.close()
    emit_fact(
        {
            "database": where,
            "revision": found.revision,
            "entries": found.entries,
            "seal_head": to_hex(found.seal_head),
            "log_head": to_hex(found.log_head),
            "accounts": found.accounts,
            "balanced": True,
        },
        output,
    )


@app.command()
def copy(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="the copy, a new SQLite file")],
    workspace: WorkspaceOption = None,
    output: Output = Format.TABLE,
) -> None:
    """Copy the SQLite database alone, as it is now, also while others write: for a watcher, or to look into it.

    It is no backup: evidence and artefacts are files of their own.
    """
    from ledger.db.backup import back_up

    database = workspace_at(workspace).open_database(read_only=True)
    try:
        size = back_up(database, file)
    finally:
        database.close()
    emit_fact({"file": str(file), "bytes": size}, output)


restoring.add_to(app)
