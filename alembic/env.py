"""Runs migrations in one transaction and puts the guards back before it commits.

The caller hands the connection over in `config.attributes["connection"]`; there is no offline mode.
"""

from alembic import context

from ledger.db.guards import install_guards, remove_guards
from ledger.db.schema import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite rolls DDL back as well; a killed migration must leave the old schema
    transactional_ddl=True,
    compare_type=True,
    render_as_batch=False,
)
changes = context.config.attributes.get("changes_schema", True)
if changes:
    # batch_alter_table drops triggers without a word: take all off, put all back
    remove_guards(connection)
context.run_migrations()
if changes:
    install_guards(connection)
