"""What only a person decides about a transaction: that a conflict was looked at, that something is not to be sent.

Nothing is sent here and no nonce is used again: sending goes on with the next `run`, and what an abandoned or withdrawn
transaction was to do is planned anew under another key.
"""

from collections.abc import Callable

from sqlalchemy.orm import Session

from ledger.db import outbox
from ledger.db.outbox_entry import OPEN_STATES, OutboxEntry, OutboxState
from ledger.model.errors import UsageError
from ledger.model.units import Timestamp
from ledger.steps.ledger import Ledger

_CONCERN: frozenset[OutboxState] = OPEN_STATES | {OutboxState.CONFLICTED}


def transactions(ledger: Ledger, *, settled_too: bool = False) -> list[OutboxEntry]:
    """The outbox by sender and nonce: what is on its way or in conflict, or everything."""
    with ledger.database.reading() as session:
        entries = outbox.entries(session, ledger.domain.chain_id)
    return [each for each in entries if settled_too or each.state in _CONCERN]


def abandon(ledger: Ledger, key: str, reason: str) -> OutboxEntry:
    """Say that a conflict was looked at: its effect has not happened, and sending goes on after it.

    Again: nothing changes. RowMissingError for a key that is not there, RefusedError for one that is in no conflict.
    """
    return _decide(ledger, key, reason, outbox.abandon)


def withdraw(ledger: Ledger, key: str, reason: str) -> OutboxEntry:
    """Decide not to send: an empty transaction will use up the nonce, unless the first one was faster.

    Again: nothing changes. RowMissingError for a key that is not there, RefusedError for one that is mined.
    """
    return _decide(ledger, key, reason, outbox.withdraw)


def _decide(
    ledger: Ledger, key: str, reason: str, decision: Callable[[Session, str, str, Timestamp], OutboxEntry]
) -> OutboxEntry:
    if not reason.strip():
        raise UsageError("a decision needs its reason", hint="--reason TEXT; it stays with the transaction")
    now = ledger.clock.now()
    with ledger.database.transaction() as session:
        return decision(session, key, reason.strip(), now)
