"""All rows of all protected tables that neither a hash chain nor a recomputation covers: a check a table."""

from collections.abc import Callable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.audit.comparison import Difference
from ledger.audit.report import Check
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.node.connection import Connection
from ledger.db import workspace
from ledger.db.tables.workspace import WorkspaceRow
from ledger.model.errors import LedgerError
from ledger.steps.auditing.rows import chain, decisions, door, epochs, evidence, outbox
from ledger.steps.auditing.rows.faults import absent, foreign
from ledger.steps.ledger import Ledger

Faults = Callable[[], Iterator[Difference]]


def row_checks(ledger: Ledger, deployment: Deployment) -> list[Check]:
    """A failed check for every row that is not as derived, or one passed check for each kind of rows."""
    with ledger.database.reading() as session:
        looks: dict[str, Faults] = {
            "rows.workspace": lambda: _workspace_faults(session),
            "rows.items": lambda: evidence.item_faults(ledger, session),
            "rows.stored-items": lambda: evidence.stored_faults(session, ledger.domain),
            "rows.door": lambda: door.refusal_faults(session),
            "rows.submissions": lambda: door.submission_faults(session),
            "rows.epoch-events": lambda: epochs.event_faults(ledger, session),
            "rows.artefacts": lambda: epochs.artefact_faults(ledger, session),
            "rows.verdict-counts": lambda: epochs.count_faults(session),
            "rows.policies": lambda: decisions.policy_faults(session),
            "rows.tables": lambda: decisions.tables_faults(session),
            "rows.corrections": lambda: decisions.correction_faults(session),
            "rows.chain-blocks": lambda: chain.block_faults(session, deployment),
            "rows.chain-logs": lambda: chain.log_faults(session, deployment),
            "rows.outbox": lambda: outbox.intent_faults(session, deployment),
            "rows.outbox-events": lambda: outbox.event_faults(session),
        }
        return [check for name, look in looks.items() for check in _checks(name, look)]


def chain_row_checks(ledger: Ledger, connection: Connection, deployment: Deployment) -> list[Check]:
    """The followed logs, against the chain."""
    with ledger.database.reading() as session:
        return list(_checks("chain.logs", lambda: chain.said_by_chain(session, connection, deployment)))


def _checks(name: str, look: Faults) -> Iterator[Check]:
    found: list[Difference] = []
    try:
        found.extend(look())
    except (LedgerError, KeyError, TypeError, ValueError) as error:  # a row so damaged that it cannot be looked at
        what = error.what if isinstance(error, LedgerError) else repr(error)
        found.append(Difference(where=name, expected="rows that can be read", found=what[:400]))
    if not found:
        yield Check(name=name, rule="E6.9", difference=None)
    for difference in found:
        yield Check(name=name, rule="E6.9", difference=difference)


def _workspace_faults(session: Session) -> Iterator[Difference]:
    """`workspace`: that it says the same as the deployment is checked whenever the books are opened."""
    if workspace.bound_network(session) is None:
        yield absent("workspace")
    for row in session.execute(select(WorkspaceRow).where(WorkspaceRow.id != 1)).scalars():
        yield foreign(f"workspace, id {row.id}", "there is one row")
