"""What the simulator found once, played again as a scene: each was a run that lost something or never ended."""

import pytest
from sqlalchemy import select

from ledger.books.posting import EntryKind
from ledger.chain.contracts.artefacts import REWARDS_LEDGER, interface
from ledger.db import epochs, journal
from ledger.db.outbox import entry as outbox_entry
from ledger.db.outbox_entry import OutboxState
from ledger.db.tables.settlement import OutboxEvent
from ledger.model.epoch import EpochState
from ledger.model.units import Address, EpochNumber
from ledger.steps.ledger import Ledger
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transitions.halt import halt
from sim import stage
from sim.chain import GWEI, raw_bytes
from sim.oracles import undisturbed
from sim.rpc import Node
from sim.scenario import Scenario
from sim.worker import Task
from sim.world import World

EPOCH = EpochNumber(0)
LEDGER = stage.ADDRESSES[REWARDS_LEDGER]
ACTIVATE = interface(REWARDS_LEDGER).selector("activateEpoch")


class Scene(World):
    """An undisturbed run of one epoch into which a test puts its one misfortune."""

    def __init__(self, claimants: int) -> None:
        super().__init__(0, scenario=Scenario(epochs=1, claimants=claimants), undisturbed=True)

    def sent_by(self, who: Address, function: str) -> None:
        nonce = self.chain.head.nonces.get(who, 0)
        assert self.submit(raw_bytes(who, nonce, LEDGER, 300 * GWEI, GWEI, interface(REWARDS_LEDGER).encode(function)))


class ClaimsPausedMeanwhile(Scene):
    """The guardian pauses claims while the activation is on its way: it is mined and refused."""

    has_paused = False

    def mine(self) -> None:
        activation = next((sent for sent in self.chain.pool.values() if sent.calldata[:4] == ACTIVATE), None)
        if activation is None or self.has_paused:
            super().mine()
            return
        self.has_paused = True
        del self.chain.pool[activation.tx_hash]
        self.sent_by(stage.GUARDIAN, "pauseClaims")
        super().mine()
        self.chain.pool[activation.tx_hash] = activation
        super().mine()
        assert not self.chain.head.succeeded[activation.tx_hash]
        self.sent_by(stage.GOVERNOR, "resumeClaims")
        super().mine()


def test_an_activation_that_was_mined_and_refused_is_planned_anew() -> None:
    scene = ClaimsPausedMeanwhile(claimants=0)
    scene.run()
    with scene.database.reading() as session:
        assert outbox_entry(session, "epoch/0/activate/1").state == "reverted"
        assert outbox_entry(session, "epoch/0/activate/1/1").state in {"mined", "final"}
        states = [event.state for event in epochs.events(session, EPOCH)]
    assert states[-4:] == [EpochState.ACTIVE, EpochState.PROPOSED, EpochState.ACTIVE, EpochState.FINAL]


class LostAfterAFalseConflict(Scene):
    """A node hides the receipt of our own proposal, so its nonce seems stolen; then its block leaves the chain."""

    misfortunes = 0

    def perform(self, ledger: Ledger, what: str, task: Task) -> None:
        super().perform(ledger, what, task)
        if self.misfortunes == 0 and self.chain.head.state.activates_at:
            self.misfortunes = 1
            node, answer = Node, Node._receipt
            node._receipt = lambda *_: None
            super().perform(ledger, "deceived", send_planned)
            node._receipt = answer
            self.chain.reorganise(len(self.chain.blocks) - self.history, 8, lost=1)


def test_a_nonce_that_only_seemed_stolen_is_used_again_for_the_same_bytes() -> None:
    scene = LostAfterAFalseConflict(claimants=0)
    scene.run()
    assert scene.misfortunes == 1
    with scene.database.reading() as session:
        details = [row.detail for row in session.execute(select(OutboxEvent).order_by(OutboxEvent.seq)).scalars()]
    assert "the nonce is not used after all" in details


class FinalBlocksTakenBack(Scene):
    """When all is done, the chain leaves every block of the run; each transaction is mined again elsewhere, or none."""

    def __init__(self, claimants: int, lost: float) -> None:
        super().__init__(claimants)
        self.lost = lost

    def calm(self) -> None:
        super().calm()
        depth = len(self.chain.blocks) - self.history
        self.chain.reorganise(depth, depth + 1, self.lost)
        self.clock.true = max(self.clock.true, self.chain.head.timestamp)
        self.meanwhile()
        super().calm()

    def meanwhile(self) -> None:
        """What happens before anybody has seen it."""


class MetByALateStep(FinalBlocksTakenBack):
    """A worker that was held since before the epoch was final meets the vanished block, and halts the final epoch."""

    def meanwhile(self) -> None:
        assert self.own_ledger is not None
        halt(self.own_ledger, EPOCH, "books.block-vanished: met by a late step")


def test_an_epoch_halted_when_it_was_final_is_final_no_more_when_its_activation_is_taken_back() -> None:
    scene = MetByALateStep(claimants=2, lost=0)
    scene.run()
    with scene.database.reading() as session:
        keys = {each.key for each in journal.entries(session)}
        states = [event.state for event in epochs.events(session, EPOCH)]
    assert "epoch/0/activation/1/again/1" in keys
    halted = len(states) - states[::-1].index(EpochState.HALTED)
    assert states[halted] is EpochState.PROPOSED
    assert states[-1] is EpochState.FINAL


def test_a_proposal_planned_behind_an_activation_that_is_taken_back_does_not_keep_it_from_being_sent_again() -> None:
    """A stranger activated epoch 0, the next proposal was planned behind that, and final blocks took it back."""
    undisturbed(2, None, 2)  # what the run is compared with is played first: a process has one database for all runs
    world = World(92544)
    world.run()
    with world.database.reading() as session:
        early, again = (outbox_entry(session, f"epoch/1/propose/{which}") for which in ("1", "1/1"))
        own = outbox_entry(session, "epoch/0/activate/1")
        halts = [each.reason for each in epochs.events(session, EpochNumber(1)) if each.state is EpochState.HALTED]
    assert (early.state, own.state, again.state) == (OutboxState.WITHDRAWN, OutboxState.FINAL, OutboxState.FINAL)
    assert any(why.startswith("the proposal is withdrawn: epoch 0 is not active any more: ") for why in halts)
    assert early.nonce < own.nonce < again.nonce


@pytest.mark.parametrize("lost", [0, 1], ids=["mined-again", "sent-again"])
def test_what_final_blocks_took_back_is_undone_by_a_person_and_booked_anew(lost: float) -> None:
    scene = FinalBlocksTakenBack(claimants=2, lost=lost)
    scene.run()
    with scene.database.reading() as session:
        undone = [each.key for each in journal.entries(session, kind=EntryKind.REVERSAL)]
        again = [each.key for each in journal.entries(session) if "/again/" in each.key]
        reasons = [event.reason for number in (0, 1) for event in epochs.events(session, EpochNumber(number))]
    assert len(undone) == 3
    assert "reversal/epoch/0/activation/1" in undone
    assert "epoch/0/activation/1/again/1" in again
    assert any("books.block-vanished" in reason or "chain.finality-broken" in reason for reason in reasons)
