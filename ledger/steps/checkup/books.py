"""The doctor's look at the database: which network, the journal, stopped epochs, transactions that hang."""

from ledger.chain.deployment import Deployment
from ledger.db import epochs, outbox
from ledger.db import workspace as workspace_row
from ledger.db.engine import Database
from ledger.db.outbox import OPEN_STATES, OutboxState
from ledger.model.epoch import EpochState
from ledger.steps.checkup.books_check import check_books
from ledger.steps.checkup.doctor import Answer, beware, broken, well
from ledger.steps.checkup.folder import Progress
from ledger.steps.establish import require_bound
from ledger.steps.reconciling.suspense import SuspenseOpenError, open_differences


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


def check_outbox(database: Database, chain_id: int) -> Answer:
    """No transaction of ours is stuck; those on their way are named."""
    with database.reading() as session:
        entries = outbox.entries(session, chain_id)
    conflicts = [each for each in entries if each.state is OutboxState.CONFLICTED]
    if conflicts:
        first = conflicts[0]
        return broken(
            "settle.nonce-taken",
            f"{first.key}: nonce {first.nonce} was used by another transaction; nothing more is sent",
            "find out who sends from this account; it must be this ledger's alone",
        )
    waiting = [each for each in entries if each.state in OPEN_STATES]
    if waiting:
        first = waiting[0]
        return beware(
            "settle.open", f"{len(waiting)} of {len(entries)} are on their way, first {first.key} ({first.state})",
            "ath-ledger run"
        )  # fmt: skip
    return well(f"{len(entries)} transactions, none open")
