"""The doctor's look at the chain: is it ours, who may act, can the next epoch be paid, is the time right."""

import time
from collections.abc import Callable
from typing import Final

from ledger.chain.contracts.artefacts import REWARDS_LEDGER
from ledger.chain.contracts.roles import Role
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.following.governed import policies
from ledger.chain.following.roles_report import roles_report
from ledger.chain.node.connection import Connection
from ledger.chain.sending.signer import Signer
from ledger.db import policies as policy_rows
from ledger.db.engine import Database
from ledger.model.errors import MismatchError
from ledger.model.units import Timestamp, to_hex
from ledger.steps.checkup.doctor import Answer, beware, broken, well
from ledger.steps.transitions.freeze import TablesMissingError
from ledger.tree.keccak import checksum_address

GAS_FOR_AN_EPOCH: Final = 1_000_000
"""More than a proposal and an activation together use."""
CLOCK_TOLERANCE_SECONDS: Final = 60
CHAIN_SILENCE_SECONDS: Final = 3600
_LOOK_SECONDS: Final = 0.2
_JUMP_SECONDS: Final = 0.1


def check_contracts(connection: Connection, deployment: Deployment) -> Answer:
    """The chain is the one that was deployed on, and the contracts have the code that was deployed."""
    deployment.check(connection)
    head = connection.head()
    return well(f"chain {connection.chain_id} at block {head.number}; all contracts have their code")


def check_endpoints(connection: Connection) -> Answer:
    """Every endpoint answers, serves our chain and keeps up."""
    standings = connection.endpoints()
    bad = [each for each in standings if not each.is_well]
    if bad:
        first = bad[0]
        found = f"{len(bad)} of {len(standings)} endpoints are of no use, first {first.place}: {first.why}"
        return beware("chain.endpoint-down", found, "mend it, or take it out of rpc_url; the others are used meanwhile")
    return well(f"{len(standings)} endpoints, all well")


def check_roles(connection: Connection, deployment: Deployment) -> Answer:
    """Every function asks for its role, and every role has a holder."""
    report = roles_report(connection, deployment, connection.head())
    if report.deviations:
        raise MismatchError("; ".join(report.deviations), hint="ath-ledger chain roles: somebody changed them")
    empty = [role.name for role in Role if not any(holder.role is role for holder in report.holders)]
    if empty:
        return broken("governance.no-holder", f"nobody is {', '.join(empty)}", "ath-ledger chain roles")
    return well(f"{len(report.holders)} holders; every function asks for its role")


def check_publisher(connection: Connection, deployment: Deployment, publisher: Signer) -> Answer:
    """The publisher's key holds the role and can pay for an epoch's transactions."""
    head = connection.head()
    account, shown = publisher.address, checksum_address(publisher.address)
    access = deployment.access_manager(connection).access(Role.PUBLISHER, account, head.hash)
    if not access.is_member or access.delay_seconds:
        return broken(
            "settle.publisher-role",
            f"{shown} may not publish" if not access.is_member else f"{shown} publishes only with a delay",
            "ath-ledger chain roles; set publisher_keystore to an account that holds the role",
        )
    balance_wei = connection.balance_wei(account)
    needed_wei = GAS_FOR_AN_EPOCH * max(head.base_fee_wei, 1)
    found = f"{shown} is publisher and holds {balance_wei} wei of the chain's coin"
    if balance_wei < needed_wei:
        return broken("settle.funds-missing", found, f"send it at least {needed_wei} wei of the chain's own coin")
    return well(found)


def check_treasury(connection: Connection, deployment: Deployment) -> Answer:
    """Balance and allowance cover the most the next epoch can pay: its budget and what was rolled over."""
    head = connection.head()
    contract, token = deployment.rewards_ledger(connection), deployment.token(connection)
    epoch = contract.next_epoch(head.hash)
    budget_wei = policies(connection, deployment, head).policy_for_epoch(epoch).policy.epoch_budget_wei
    needed_wei = budget_wei + contract.rollover_wei(head.hash)
    spender = deployment.addresses[REWARDS_LEDGER]
    shown = checksum_address(deployment.treasury)
    balance_wei = token.balance_wei(deployment.treasury, head.hash)
    if balance_wei < needed_wei:
        found = f"{shown} holds {balance_wei} wei, epoch {epoch} may need {needed_wei} wei"
        return broken("treasury.balance", found, f"send ATH to {shown}")
    allowance_wei = token.allowance_wei(deployment.treasury, spender, head.hash)
    if allowance_wei < needed_wei:
        found = f"{shown} allows {allowance_wei} wei, epoch {epoch} may need {needed_wei} wei"
        return broken("treasury.allowance", found, f"let {shown} approve {checksum_address(spender)} for more")
    return well(f"epoch {epoch} may need {needed_wei} wei; balance and allowance cover it")


def check_policy(connection: Connection, deployment: Deployment, database: Database) -> Answer:
    """A policy governs the next epoch, and its tables are in this ledger (NoPolicyError, TablesMissingError)."""
    head = connection.head()
    epoch = deployment.rewards_ledger(connection).next_epoch(head.hash)
    scheduled = policies(connection, deployment, head).policy_for_epoch(epoch)
    with database.reading() as session:
        if not policy_rows.has_tables(session, scheduled.policy.tables_hash):
            raise TablesMissingError(
                f"the tables {to_hex(scheduled.policy.tables_hash)} of policy {scheduled.version} are not here"
            )
    return well(f"policy {scheduled.version} governs epoch {epoch}; its tables are here")


def check_machine_time(pause: Callable[[float], None] = time.sleep) -> Answer:
    """The machine's clock runs as fast as its time since boot does: nobody is setting it while we look."""
    wall, steady = time.time(), time.monotonic()
    pause(_LOOK_SECONDS)
    jump = (time.time() - wall) - (time.monotonic() - steady)
    if abs(jump) > _JUMP_SECONDS:
        found = f"the clock jumped by {jump:+.1f} s while it was looked at"
        return beware("clock.jumps", found, "let NTP slew the clock instead of setting it")
    return well("the clock runs evenly")


def check_clock(connection: Connection, now: Timestamp) -> Answer:
    """The machine's clock against the chain's last block."""
    head = connection.head()
    ahead = now - head.timestamp
    if ahead < -CLOCK_TOLERANCE_SECONDS:
        return broken(
            "clock.behind", f"this machine is {-ahead} s behind the chain's last block", "set the clock (NTP)"
        )
    if ahead > CHAIN_SILENCE_SECONDS:
        found = f"the chain's last block is {ahead} s old"
        return beware("chain.silent", found, "check that the node is synchronised, and this machine's clock")
    return well(f"{ahead} s after the chain's last block")
