"""Holding the books against themselves: schema, guards, every entry, every balance."""

from collections.abc import Callable
from dataclasses import dataclass

from ledger.books.posting import Chain
from ledger.db import journal, migrations
from ledger.db.engine import Database
from ledger.db.row_kinds import kinds_named
from ledger.model.errors import MismatchError
from ledger.model.units import Hash32


class BooksUnbalancedError(MismatchError):
    """Debits and credits differ, or an account stands where its rule forbids it."""

    code = "books.unbalanced"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBooks:
    """A journal that was walked from its first entry to its last."""

    revision: str
    entries: int
    seal_head: Hash32
    log_head: Hash32
    accounts: int


def entry_count(database: Database) -> int:
    """How many entries a walk will pass."""
    with database.reading() as session:
        return journal.last_seq(session)


def check_books(database: Database, passed: Callable[[int], None] = lambda _entries: None) -> CheckedBooks:
    """Check the schema and its guards, walk the journal, sum the balances.

    `passed` is told 1 for each entry. Raises SchemaDiffersError, GuardsChangedError, StoredKindError,
    JournalBrokenError, BalancesDifferError, BooksUnbalancedError, and what opening raises.
    """
    migrations.check(database)
    with database.reading() as session, kinds_named(session):
        heads = journal.verify_journal(session, passing=lambda _entry: passed(1))
        trial = journal.trial_balance(session)
        entries = journal.last_seq(session)
    if not trial.is_balanced:
        raise BooksUnbalancedError("; ".join(trial.violations[:5]))
    return CheckedBooks(
        revision=database.revision() or "",
        entries=entries,
        seal_head=heads[Chain.SEAL].hash,
        log_head=heads[Chain.LOG].hash,
        accounts=len(trial.accounts),
    )
