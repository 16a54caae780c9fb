"""The doctor's look at the database: which network, the journal, stopped epochs, transactions that hang."""

from typing import Final

from ledger.chain.deploying.deployment import Deployment
from ledger.db import epochs, figures, outbox
from ledger.db import workspace as workspace_row
from ledger.db.engine import Database
from ledger.db.outbox_entry import OPEN_STATES, OutboxState
from ledger.model.epoch import EpochState
from ledger.model.units import Timestamp
from ledger.steps.checkup.books_check import check_books
from ledger.steps.checkup.doctor import Answer, beware, broken, well
from ledger.steps.checkup.folder import Progress
from ledger.steps.establish import require_bound
from ledger.steps.reconciling.suspense import SuspenseOpenError
from ledger.steps.recorded.open_differences import open_differences

STUCK_SECONDS: Final = 3600
"""A transaction that was planned so long ago is no longer just slow."""
WAITING_SECONDS: Final = 300
CLOCK_TOLERANCE_SECONDS: Final = 60


def check_journal(database: Database, advance: Progress) -> Answer:
    """Schema, guards, every entry, every balance."""
    found = check_books(database, advance)
    return well(f"schema {found.revision}, {found.entries} entries and {found.accounts} accounts agree")


def check_network(database: Database, deployment: Deployment) -> Answer:
    """The books belong to the chain and the contracts of the deployment file (OtherNetworkError)."""
    with database.reading() as session:
        if workspace_row.bound_network(session) is None:
            return beware("workspace.unbound", "the books belong to no network yet", "ath-ledger chain deploy")
    require_bound(database, deployment)
    return well(f"the books belong to chain {deployment.chain_id} and the deployed contracts")


def check_epochs(database: Database) -> Answer:
    """No epoch waits for a person."""
    with database.reading() as session:
        standings = epochs.all_standings(session)
        halted = [each for each in standings if each.state is EpochState.HALTED]
        final = [each for each in standings if each.state is EpochState.FINAL]
    if halted:
        first = halted[0]
        return broken(
            "epoch.halted",
            f"epoch {first.epoch} is halted: {first.reason}",
            f"ath-ledger epoch show {first.epoch}, then ath-ledger epoch resume {first.epoch} --reason TEXT",
        )
    revoked = [each for each in standings if each.state is EpochState.REVOKED]
    if revoked:
        return beware(
            "epoch.revoked",
            f"epoch {revoked[0].epoch} was revoked and waits to be computed again",
            f"ath-ledger epoch show {revoked[0].epoch}",
        )
    return well(f"{len(standings)} epochs, {len(final)} final, none halted")


def check_suspense(database: Database) -> Answer:
    """No difference that a reconciliation booked is left unexplained (SuspenseOpenError)."""
    with database.reading() as session:
        found = open_differences(session)
    if found:
        first = found[0]
        raise SuspenseOpenError(
            f"{len(found)} differences stand in suspense, so nothing new is paid; first {first.key}:"
            f" {first.account} differs by {first.difference}"
        )
    return well("nothing stands in suspense")


def check_outbox(database: Database, chain_id: int, now: Timestamp | None) -> Answer:
    """No transaction of ours is stuck; those on their way are named. `now`: None where time is the chain's."""
    with database.reading() as session:
        entries = outbox.entries(session, chain_id)
        oldest = figures.oldest_unmined_transaction(session, chain_id)
    conflicts = [each for each in entries if each.state is OutboxState.CONFLICTED]
    if conflicts:
        first = conflicts[0]
        return broken(
            "settle.nonce-taken",
            f"{first.key}: nonce {first.nonce} was used by another transaction; nothing more is sent",
            f"find out who sends from this account; then ath-ledger chain abandon {first.key} --reason TEXT",
        )
    waiting = [each for each in entries if each.state in OPEN_STATES]
    if waiting:
        first, age = waiting[0], 0 if now is None or oldest is None else now - oldest
        found = f"{len(waiting)} of {len(entries)} are on their way, first {first.key} ({first.state})"
        if age > STUCK_SECONDS:
            return beware("settle.stuck", f"{found}, planned {age} s ago", "ath-ledger run, and read what it says")
        return well(found)
    return well(f"{len(entries)} transactions, none open")


def check_submissions(database: Database, now: Timestamp | None) -> Answer:
    """What was sent in is judged soon. It counts from when it was received, so waiting makes nobody late."""
    with database.reading() as session:
        count, oldest = figures.submissions_waiting(session, Timestamp(0))
    age = 0 if now is None or oldest is None else now - oldest
    if count and age > WAITING_SECONDS:
        found = f"{count} submissions wait for their verdict, the oldest for {age} s"
        return beware("submissions.waiting", found, "start a worker: ath-ledger worker, or ath-ledger run")
    return well(f"{count} submissions wait for their verdict")


def check_recorded_times(database: Database, now: Timestamp) -> Answer:
    """Nothing in the books was recorded later than now: the clock has not been set back."""
    with database.reading() as session:
        newest = figures.newest_recorded(session)
    if newest is not None and newest > now + CLOCK_TOLERANCE_SECONDS:
        found = f"the books were written {newest - now} s after what this machine takes for now"
        return broken("clock.behind-books", found, "set the clock (NTP) before anything else is recorded")
    return well("nothing was recorded later than now")


def check_writable(database: Database) -> Answer:
    """The account may add to the books. Asked of a server only: who may write a file, its permissions say."""
    with database.reading() as session:
        missing = figures.tables_not_writable(session)
    if missing:
        remedy = "GRANT SELECT, INSERT, UPDATE, DELETE on the ledger's tables to this account"
        return broken("db.read-only", f"{database.place} takes no new rows in {', '.join(missing)}", remedy)
    return well("the books can be written")
