"""Bringing a database to this version's schema, and proving that it is there: tables, columns and guards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import ledger
from ledger.db.engine import SCHEMA_REVISIONS, Database, check_revision, stored_revision
from ledger.db.errors import SchemaDiffersError, SchemaNewerError, translated
from ledger.db.guards import check_guards
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


def downgrade(database: Database, revision: str) -> str:
    """Migrate back to `revision` (`base`: no tables at all) in one transaction."""
    return _migrate(database, lambda config: command.downgrade(config, revision))


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
