"""One epoch on the real contracts: proposed by the outbox, activated, followed, claimed, and once only."""

from typing import Any

import pytest

from ledger.chain.claims import AcceptedRoot, ClaimsPausedError, ProofMismatchError, quote_claim
from ledger.chain.contracts.access_manager import operation_id
from ledger.chain.deploying.deployment import Deployment
from ledger.chain.errors import CallRevertedError, FundsMissingError, TransactionRevertedError
from ledger.chain.following.follower import final_events, sync
from ledger.chain.following.governed import policies
from ledger.chain.node.connection import Connection
from ledger.chain.sending.fees import FeePolicy
from ledger.chain.sending.outbox import open_outbox, pump
from ledger.chain.sending.signer import KeySigner
from ledger.chain.sending.transact import plan_transaction, send
from ledger.db.engine import Database
from ledger.db.outbox import enqueue
from ledger.db.outbox_entry import OutboxState
from ledger.model.clock import FixedClock
from ledger.model.header import EpochHeader
from ledger.model.units import ZERO_HASH, Address, EpochNumber, Hash32, MicrogramsCo2e, Timestamp, Wei
from ledger.tree.commitments import header_hash, policy_hash
from ledger.tree.payout import PayoutProof, payout_proof, payout_tree

Network = Any  # conftest's

ATH = 10**18
OPERATORS = [KeySigner(bytes([seed]) * 32) for seed in (0x51, 0x52, 0x53)]
PAID = [500 * ATH, 300 * ATH, 50 * ATH]
TREE = payout_tree([each.address for each in OPERATORS], PAID)


def header_of(network: Network, epoch: int = 0, parent: Hash32 = ZERO_HASH, **changes: Any) -> EpochHeader:
    values: dict[str, Any] = {
        "epoch": EpochNumber(epoch),
        "claim_root": TREE.root,
        "ledger_head": Hash32(b"\x1e" * 32),
        "policy_hash": policy_hash(network.config.first_policy),
        "manifest_hash": Hash32(b"\x3a" * 32),
        "parent_hash": parent,
        "payout": Wei(850 * ATH),
        "carbon": Wei(40 * ATH),
        "reserve": Wei(100 * ATH),
        "rollover": Wei(10 * ATH),
        "residual_micrograms": MicrogramsCo2e(5 * 10**10),
    }
    return EpochHeader(**(values | changes))


def proof_for(number: int) -> PayoutProof:
    return payout_proof(TREE, OPERATORS[number].address)


@pytest.fixture(scope="module")
def ledger_database(tmp_path_factory: pytest.TempPathFactory, make_ledger: Any) -> Any:
    database = make_ledger(tmp_path_factory.mktemp("cycle") / "ledger.db")
    yield database
    database.close()


@pytest.fixture(scope="module")
def active(network: Network, ledger_database: Database, make_funded: Any) -> Network:
    """Epoch 0, proposed and activated through the outbox."""
    connection, deployment = network.connection, network.deployment
    make_funded(connection, *OPERATORS)
    open_outbox(ledger_database, connection, network.publisher.address)
    ledger = deployment.rewards_ledger(connection)
    header = header_of(network)
    network.time.jump_to(deployment.calendar.end(EpochNumber(0)))
    settle(network, ledger_database, "epoch/0/propose/1", ledger.propose_epoch(header))
    assert ledger.pending("latest").header_hash == header_hash(header)
    network.time.jump_to(ledger.pending("latest").activates_at)
    settle(network, ledger_database, "epoch/0/activate/1", ledger.activate_epoch(header))
    return network


def settle(network: Network, database: Database, key: str, call: Any) -> None:
    with database.transaction() as session:
        enqueue(
            session,
            key=key,
            chain_id=network.connection.chain_id,
            sender=network.publisher.address,
            to=call.to,
            calldata=call.calldata,
            at=Timestamp(0),
        )
    pump_now(network, database)


def pump_now(network: Network, database: Database) -> Any:
    return pump(
        database,
        network.connection,
        network.publisher,
        FixedClock(Timestamp(0)),
        network.deployment.finality,
        code_hashes=network.deployment.callable_code,
        fees=FeePolicy.fixed_fees(),
    )


def test_a_proposal_the_contract_would_refuse_is_never_sent(
    network: Network, database: Database, make_funded: Any
) -> None:
    ledger = network.deployment.rewards_ledger(network.connection)
    call = ledger.propose_epoch(header_of(network, epoch=7))
    open_outbox(database, network.connection, network.publisher.address)
    with pytest.raises(CallRevertedError, match=r"WrongEpoch\(expected=\d, given=7\)"):
        settle(network, database, "epoch/7/propose/1", call)


def test_header_hashes_agree_with_the_contract(active: Network) -> None:
    ledger = active.deployment.rewards_ledger(active.connection)
    assert ledger.last_header_hash("latest") == header_hash(header_of(active))
    assert ledger.next_epoch("latest") == 1
    assert ledger.rollover_wei("latest") == 10 * ATH
    totals = active.deployment.carbon_vault(active.connection).totals("latest")
    assert totals.received_wei == 40 * ATH
    assert totals.owed_ug == 5 * 10**10


def test_the_follower_returns_the_epochs_events_when_they_are_final(active: Network, ledger_database: Database) -> None:
    connection, deployment = active.connection, active.deployment
    active.time.mine(2)
    events = sync(ledger_database, connection, deployment.followed, deployment.finality)
    names = [event.name for event in events]
    for name in ("PolicyScheduled", "VerifierSet", "EpochProposed", "EpochActivated", "CarbonReceived"):
        assert name in names
    proposed = next(event for event in events if event.name == "EpochProposed")
    assert EpochHeader(**proposed.arguments["header"]) == header_of(active)
    assert proposed.arguments["header_hash"] == header_hash(header_of(active))
    assert pump_now(active, ledger_database).entries[-1].state is OutboxState.FINAL


def test_an_operator_is_paid_what_the_leaf_says_and_only_once(active: Network, ledger_database: Database) -> None:
    connection, deployment = active.connection, active.deployment
    operator = OPERATORS[0]
    quote = quote_claim(connection, deployment, proof_for(0), connection.head())
    assert (quote.claimable_wei, quote.claimed_wei, quote.root) == (500 * ATH, 0, AcceptedRoot.CURRENT)
    plan = plan_transaction(connection, operator.address, quote.call)
    assert str(plan.call).startswith("RewardsLedger.claim(account=0x")
    assert plan.max_cost_wei > 0
    assert connection.nonce(operator.address) == 0  # nothing was sent so far
    receipt = send(connection, operator, plan)
    assert receipt.succeeded
    assert deployment.token(connection).balance_wei(operator.address, "latest") == 500 * ATH
    again = quote_claim(connection, deployment, proof_for(0), connection.head())
    assert again.is_settled
    with pytest.raises(CallRevertedError, match="NothingToClaim"):
        plan_transaction(connection, operator.address, again.call)
    active.time.mine(2)
    (claimed,) = [
        event
        for event in sync(ledger_database, connection, deployment.followed, deployment.finality)
        if event.name == "Claimed"
    ]
    assert dict(claimed.arguments) == {
        "account": operator.address,
        "payee": operator.address,
        "amount": 500 * ATH,
        "cumulative": 500 * ATH,
    }
    assert claimed.key == f"31337/0x{receipt.tx_hash.hex()}/{claimed.log_index}"
    assert claimed in final_events(ledger_database, 31337, deployment.followed, above=0)


def test_many_accounts_are_read_at_one_block(active: Network) -> None:
    ledger = active.deployment.rewards_ledger(active.connection)
    head = active.connection.head()
    accounts = ledger.accounts_of([*(each.address for each in OPERATORS), Address(b"\x98" * 20)], head.hash)
    assert [each.claimed_wei for each in accounts] == [500 * ATH, 0, 0, 0]
    for signer, account in zip(OPERATORS, accounts, strict=False):
        assert account.claimed_wei == ledger.claimed_wei(signer.address, head.hash)
        assert account.payee == ledger.payee_of(signer.address, head.hash)


def test_a_payee_receives_later_claims(active: Network) -> None:
    connection, operator = active.connection, OPERATORS[2]
    ledger = active.deployment.rewards_ledger(connection)
    call = ledger.set_payee(Address(b"\x97" * 20))
    send(connection, operator, plan_transaction(connection, operator.address, call))
    assert ledger.accounts_of([operator.address], "latest")[0].payee == b"\x97" * 20
    assert quote_claim(connection, active.deployment, proof_for(2), connection.head()).payee == b"\x97" * 20


@pytest.mark.parametrize("change", ["amount", "account", "proof"])
def test_a_leaf_that_is_not_in_the_tree_is_found_before_anything_is_sent(active: Network, change: str) -> None:
    good = proof_for(1)
    changed = {
        "amount": {"cumulative_wei": Wei(good.cumulative_wei + 1)},
        "account": {"account": Address(b"\x99" * 20)},
        "proof": {"proof": good.proof[1:]},
    }[change]
    values = {name: getattr(good, name) for name in ("account", "cumulative_wei", "root", "proof")} | changed
    with pytest.raises(ProofMismatchError, match="does not lead to the root"):
        quote_claim(active.connection, active.deployment, PayoutProof(**values), active.connection.head())


def test_a_claim_that_somebody_else_settled_first_says_why_it_was_reverted(active: Network) -> None:
    connection, deployment = active.connection, active.deployment
    quote = quote_claim(connection, deployment, proof_for(1), connection.head())
    mine = plan_transaction(connection, OPERATORS[1].address, quote.call)
    faster = plan_transaction(connection, OPERATORS[2].address, quote.call)
    send(connection, OPERATORS[2], faster)
    assert deployment.token(connection).balance_wei(OPERATORS[1].address, "latest") == 300 * ATH
    with pytest.raises(TransactionRevertedError, match="NothingToClaim"):
        send(connection, OPERATORS[1], mine)


def test_while_claims_are_paused_the_refusal_says_so(active: Network) -> None:
    connection, deployment = active.connection, active.deployment
    ledger = deployment.rewards_ledger(connection)
    send(connection, active.guardian, plan_transaction(connection, active.guardian.address, ledger.pause_claims()))
    with pytest.raises(ClaimsPausedError):
        quote_claim(connection, deployment, proof_for(2), connection.head())
    resume = announced(active, ledger.resume_claims())
    send(connection, active.governor, plan_transaction(connection, active.governor.address, resume))
    assert quote_claim(connection, deployment, proof_for(2), connection.head()).claimable_wei == 50 * ATH


def announced(network: Network, call: Any) -> Any:
    """A governor's call after its announcement and delay, ready to be executed."""
    connection = network.connection
    manager = network.deployment.access_manager(connection)
    governor = network.governor
    send(connection, governor, plan_transaction(connection, governor.address, manager.schedule(call)))
    due = manager.scheduled_for(operation_id(governor.address, call), "latest")
    assert due is not None
    with pytest.raises(CallRevertedError, match="AccessManagerNotReady"):
        plan_transaction(connection, governor.address, manager.execute(call))
    network.time.jump_to(due)
    return manager.execute(call)


def test_a_policy_is_announced_executed_and_cancelled_in_the_open(active: Network) -> None:
    connection, deployment = active.connection, active.deployment
    registry = deployment.policy_registry(connection)
    from dataclasses import replace

    next_policy = replace(active.config.first_policy, reserve_bps=950)
    effective = EpochNumber(registry.current_epoch("latest") + 4)
    execute = announced(active, registry.schedule(next_policy, effective))
    send(connection, active.governor, plan_transaction(connection, active.governor.address, execute))
    before = connection.head()
    history = policies(connection, deployment, before)
    assert history.policy_for_epoch(effective).policy == next_policy
    assert history.policy_for_epoch(EpochNumber(effective - 1)).policy == active.config.first_policy
    cancel = registry.cancel(effective)
    send(connection, active.guardian, plan_transaction(connection, active.guardian.address, cancel))
    after = policies(connection, deployment, connection.head())
    assert after.policy_for_epoch(effective).policy == active.config.first_policy
    assert [each.is_cancelled for each in after.announced] == [False, True]
    assert policies(connection, deployment, before).policy_for_epoch(effective).policy == next_policy


def test_an_account_without_coin_cannot_send_and_is_told_so(active: Network) -> None:
    poor = KeySigner(b"\x66" * 32)
    connection: Connection = active.connection
    deployment: Deployment = active.deployment
    quote = quote_claim(connection, deployment, proof_for(2), connection.head())
    plan = plan_transaction(connection, poor.address, quote.call)
    with pytest.raises(FundsMissingError):
        send(connection, poor, plan)
