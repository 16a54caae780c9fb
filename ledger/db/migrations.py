"""Bringing a database to this version's schema, and proving that it is there: tables, columns and guards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select

import ledger
from ledger.db.engine import SCHEMA_REVISIONS, Database, check_revision, stored_revision
from ledger.db.errors import SchemaDiffersError, SchemaNewerError, WouldLoseError, translated
from ledger.db.guards import check_guards, protected_tables
from ledger.db.schema import Base
from ledger.model.errors import EnvironmentFailure

_PACKAGE: Final = Path(ledger.__file__).parent


def migrations_folder() -> Path:
    """Where the migrations are: inside an installed package, or at the top of the source tree."""
    for folder in (_PACKAGE / "data" / "alembic", _PACKAGE.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise EnvironmentFailure(f"no migrations beside {_PACKAGE}", hint="install ath-ledger again")


def upgrade(database: Database, revision: str = "head") -> str:
    """Migrate to `revision` in one transaction, guards included; returns the schema's revision.

    Raises SchemaNewerError and changes nothing when a newer version wrote the database.
    """
    return _migrate(database, lambda config: command.upgrade(config, revision))


def downgrade(database: Database, revision: str, *, lose: bool = False) -> str:
    """Migrate back to `revision` (`base`: no tables at all) in one transaction.

    WouldLoseError, and nothing is changed, when the older schema has no place for rows that are never deleted; with
    `lose` they go.
    """

    def back(config: Config) -> None:
        connection: Connection = config.attributes["connection"]
        held = _held(connection)
        command.downgrade(config, revision)
        there = _columns(connection)
        tables = {table for table, _ in there}
        lost = {table if table not in tables else f"{table}.{column}": rows
                for (table, column), rows in held.items() if (table, column) not in there}  # fmt: skip
        if lost and not lose:
            what = ", ".join(f"{rows} rows of {place}" for place, rows in sorted(lost.items()))
            raise WouldLoseError(f"schema {revision} has no place for {what}")

    return _migrate(database, back)


def _held(connection: Connection) -> dict[tuple[str, str], int]:
    """How many rows each column of the protected tables holds, where there are any."""
    protected = {table.name: table for table in protected_tables()}
    held: dict[tuple[str, str], int] = {}
    for table, column in sorted(_columns(connection)):
        if table in protected:
            count = connection.execute(select(func.count()).select_from(protected[table])).scalar_one()
            held |= {(table, column): count} if count else {}
    return held


def _columns(connection: Connection) -> set[tuple[str, str]]:
    found = inspect(connection)
    return {(table, column["name"]) for table in found.get_table_names() for column in found.get_columns(table)}


def check(database: Database) -> None:
    """Raise unless schema and guards are exactly this version's.

    SchemaOlderError, SchemaNewerError, SchemaDiffersError (a table or column differs), GuardsChangedError.
    """
    check_revision(database)
    with database.reading() as session:
        connection = session.connection()
        check_guards(connection)
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata
        )
        if differences:
            raise SchemaDiffersError(f"{database.place}: {len(differences)} differences, first {differences[0]!r:.200}")


def known_revisions() -> tuple[str, ...]:
    """The revisions in the migrations folder, oldest first."""
    scripts = ScriptDirectory(str(migrations_folder()))
    return tuple(script.revision for script in reversed(list(scripts.walk_revisions())))


def _migrate(database: Database, run: Callable[[Config], Any]) -> str:
    with database.transaction() as session:
        connection = session.connection()
        found = stored_revision(connection)
        if found is not None and found not in SCHEMA_REVISIONS:
            raise SchemaNewerError(
                f"{database.place} has schema {found}; this version knows up to {SCHEMA_REVISIONS[-1]}"
            )
        config = Config()
        config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
        config.attributes["connection"] = connection
        with translated(database.place):
            run(config)
        return stored_revision(connection) or "base"
