"""No decision touches an epoch that has begun: random governance on the real contracts, after epochs are frozen.

One network stands with epoch 0 final, 1 proposed and 2 frozen. Each example schedules and cancels policies at random
times on it and is undone afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.chain.contracts.contract import Call
from ledger.chain.errors import CallRevertedError
from ledger.chain.following.governed import policies
from ledger.chain.local.demo_time import DemoTime
from ledger.chain.sending.signer import KeySigner
from ledger.chain.sending.transact import plan_transaction, send
from ledger.db import epochs
from ledger.demo.worked_example import WorkedExample
from ledger.model.epoch import EpochState
from ledger.model.policy import Policy
from ledger.model.units import Bps, EpochNumber, Hash32, Ppm, Timestamp, Wei, to_hex
from ledger.rehearsal import GOVERNANCE_DELAY_SECONDS, Rehearsal, role_key
from ledger.simulation.replay import replay
from ledger.steps.drive import step
from ledger.steps.ledger import Ledger
from ledger.steps.recorded.frozen import load_frozen
from ledger.steps.recorded.totals import opening_of
from ledger.steps.transitions.compute import computed_facts
from ledger.tree.commitments import policy_hash

FINAL, PROPOSED, FROZEN = (EpochNumber(epoch) for epoch in range(3))
CHANGES = (
    {"reserve_bps": Bps(1100)}, {"reserve_bps": Bps(900)}, {"g_match_bps": Bps(2250)}, {"quorum_k": 4},
    {"count_nuclear": True}, {"u_min_ppm": Ppm(890_000)}, {"epoch_budget_wei": Wei(900 * 10**18)},
    {"reserve_bps": Bps(4000)},
)  # fmt: skip
"""The last one is out of bounds: the contract has to refuse it."""


@dataclass(frozen=True)
class Deed:
    """Something a governor or the guardian does, `wait` seconds after the deed before."""

    is_cancel: bool
    ahead: int
    """Effective epoch, counted from the epoch that runs when it is announced."""
    change: int
    wait: int


DEEDS = st.lists(
    st.builds(
        Deed,
        is_cancel=st.booleans(),
        ahead=st.integers(-8, 8),
        change=st.integers(0, len(CHANGES) - 1),
        wait=st.integers(1, 3 * 4 * 3600),
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    rehearsal = Rehearsal.create(tmp_path_factory.mktemp("schedules") / "ledger", WorkedExample())
    made = rehearsal.deploy(lambda _: None)
    rehearsal.register(made)
    for epoch in (FINAL, PROPOSED, FROZEN):
        rehearsal.attest(made, epoch)
    list(rehearsal.settle(made, FINAL))
    DemoTime(made.settlement().connection).jump_to(Timestamp(made.calendar.cut_off(FROZEN) + 1))
    DemoTime(made.settlement().connection).mine(2)
    for epoch in (PROPOSED, FROZEN):
        while state(made, epoch) is not (EpochState.PROPOSED if epoch == PROPOSED else EpochState.FROZEN):
            step(made, epoch)
    yield made
    made.close()
    rehearsal.stop()


def state(ledger: Ledger, epoch: EpochNumber) -> EpochState:
    with ledger.database.reading() as session:
        return epochs.state_of(session, epoch)


def do(ledger: Ledger, role: str, call: Call) -> bool:
    """Announce, wait and execute, or do it at once where the role has no delay; whether it was taken."""
    connection = ledger.settlement().connection
    manager = ledger.settlement().deployment.access_manager(connection)
    signer = KeySigner(role_key(role))
    try:
        if role == "governor":
            send(connection, signer, plan_transaction(connection, signer.address, manager.schedule(call)))
            DemoTime(connection).jump_to(Timestamp(connection.head().timestamp + GOVERNANCE_DELAY_SECONDS))
            call = manager.execute(call)
        send(connection, signer, plan_transaction(connection, signer.address, call))
    except CallRevertedError:
        return False
    return True


def begun(ledger: Ledger) -> dict[EpochNumber, Hash32]:
    """The policy hash the registry gives for every epoch that has begun by now."""
    settlement = ledger.settlement()
    at = settlement.connection.head()
    registry = settlement.deployment.policy_registry(settlement.connection)
    last = ledger.calendar.epoch_at(at.timestamp)
    return {EpochNumber(e): registry.policy_hash_at(EpochNumber(e), at.hash) for e in range(last + 1)}


def decided(ledger: Ledger, deed: Deed) -> tuple[str, Call]:
    settlement = ledger.settlement()
    connection, at = settlement.connection, settlement.connection.head()
    registry = settlement.deployment.policy_registry(connection)
    epoch = EpochNumber(max(0, ledger.calendar.epoch_at(at.timestamp) + deed.ahead))
    if deed.is_cancel:
        return "guardian", registry.cancel(epoch)
    latest: Policy = policies(connection, settlement.deployment, at).standing[-1].policy
    return "governor", registry.schedule(replace(latest, **CHANGES[deed.change]), epoch)


def test_the_network_stands_as_described(ledger: Ledger) -> None:
    assert [state(ledger, epoch) for epoch in (FINAL, PROPOSED, FROZEN)] == [
        EpochState.FINAL, EpochState.PROPOSED, EpochState.FROZEN,
    ]  # fmt: skip


TAKEN: set[tuple[str, bool]] = set()


@settings(max_examples=15, deadline=None)
@given(DEEDS)
@example(  # one that is scheduled, and two tries to cancel it: the delay takes an epoch and a half
    [
        Deed(is_cancel=False, ahead=6, change=0, wait=1),
        Deed(is_cancel=True, ahead=4, change=0, wait=1),
        Deed(is_cancel=True, ahead=5, change=0, wait=1),
    ]
)
@example([Deed(is_cancel=False, ahead=6, change=7, wait=1), Deed(is_cancel=True, ahead=1, change=0, wait=1)])
def test_no_decision_changes_the_policy_of_an_epoch_that_has_begun(ledger: Ledger, deeds: list[Deed]) -> None:
    settlement = ledger.settlement()
    connection = settlement.connection
    snapshot = connection.rpc("evm_snapshot")
    try:
        for deed in deeds:
            DemoTime(connection).jump_to(Timestamp(connection.head().timestamp + deed.wait))
            role, call = decided(ledger, deed)
            before = begun(ledger)
            was_taken = do(ledger, role, call)
            TAKEN.add((role, was_taken))
            now = begun(ledger)
            assert {epoch: now[epoch] for epoch in before} == before
            require_untouched(ledger)
    finally:
        connection.rpc("evm_revert", snapshot)


def require_untouched(ledger: Ledger) -> None:
    """What was frozen, proposed or settled is still what its roles block and the chain's head say."""
    settlement = ledger.settlement()
    head = settlement.connection.head()
    for epoch in (FINAL, PROPOSED, FROZEN):
        with ledger.database.reading() as session:
            facts = epochs.facts(session, epoch, EpochState.FROZEN)
            frozen = load_frozen(ledger, session, epoch)
        assert to_hex(policy_hash(frozen.policy)) == facts["policyHash"]
        for at in (settlement.connection.block(int(facts["rolesBlock"])), head):
            scheduled = policies(settlement.connection, settlement.deployment, at).policy_for_epoch(epoch)
            assert to_hex(scheduled.policy_hash) == facts["policyHash"]


def test_the_examples_had_decisions_that_were_taken_and_such_that_were_refused(ledger: Ledger) -> None:
    """Else the property above would hold of nothing."""
    assert {(role, taken) for role in ("governor", "guardian") for taken in (True, False)} == TAKEN


@pytest.mark.row("policy changed in an epoch")
def test_a_change_while_an_epoch_is_frozen_leaves_its_result_as_it_was(ledger: Ledger) -> None:
    """All the way to FINAL, under the policy it was frozen with, to the wei."""
    with ledger.database.reading() as session:
        frozen = load_frozen(ledger, session, PROPOSED)
        expected = replay(frozen, opening_of(session, PROPOSED))
    current = EpochNumber(ledger.calendar.epoch_at(ledger.clock.now()))
    settlement = ledger.settlement()
    registry = settlement.deployment.policy_registry(settlement.connection)
    change = registry.schedule(replace(frozen.policy, reserve_bps=Bps(1100)), EpochNumber(current + 5))
    assert do(ledger, "governor", change)
    for epoch in (PROPOSED, FROZEN):
        for _ in range(60):
            if state(ledger, epoch) is EpochState.FINAL:
                break
            time = DemoTime(settlement.connection)
            time.jump_to(Timestamp(ledger.clock.now() + 3600))
            step(ledger, epoch)
        assert state(ledger, epoch) is EpochState.FINAL
        with ledger.database.reading() as session:
            facts = epochs.facts(session, epoch, EpochState.COMPUTED)
        assert facts["totals"]["reserve_wei"] == str(100 * 10**18)
        if epoch == PROPOSED:
            with ledger.database.reading() as session:
                again = computed_facts(expected.judgement, expected.allocation, opening_of(session, PROPOSED))
            assert again["statementsHash"] == facts["statementsHash"]
