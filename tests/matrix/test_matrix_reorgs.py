"""The chain takes blocks back: shallow, as deep as finality, and deeper; what was sent is sent again, once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matrix.stage import CLAIMANTS, EPOCH, K, Outcome, Stage

from ledger.books.posting import Chain
from ledger.chain.errors import FinalityBrokenError
from ledger.db import journal
from ledger.model.epoch import EpochState
from ledger.model.units import EpochNumber, to_hex
from ledger.steps.drive import state_of
from ledger.steps.transactions.publisher import send_planned
from ledger.steps.transitions.follow import follow
from ledger.steps.transitions.halt import resume
from ledger.steps.transitions.vanished import BlockVanishedError

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
NEXT = EpochNumber(EPOCH + 1)
"""What halts when the epoch itself is final: the first one that is not."""

SHALLOW = [
    pytest.param(1, marks=pytest.mark.row("reorg of 1")),
    pytest.param(K - 1, marks=pytest.mark.row("reorg of K-1")),
    pytest.param(K, marks=pytest.mark.row("reorg of K")),
]


def reorg(stage: Stage, depth: int, kept: list[Any] | None = None) -> None:
    """Replace the newest blocks by others; only the given transactions are in them again."""
    head = stage.direct.head()
    stage.direct.rpc("anvil_reorg", depth, kept or [])
    assert stage.direct.block(head.number).hash != head.hash
    stage.time.mine()  # a longer chain wins


@pytest.mark.parametrize("depth", SHALLOW)
@pytest.mark.parametrize("moment", ["proposal", "activation", "claim"])
def test_as_deep_as_finality_at_most(stage: Stage, undisturbed: Outcome, depth: int, moment: str) -> None:
    """Right after the proposal, the activation or a claim was mined its block is replaced by empty ones."""
    if moment == "claim":
        stage.settle()
        stage.claim(0)
        reorg(stage, depth)
        assert stage.play() == undisturbed
        return
    what = "propose" if moment == "proposal" else "activate"
    stage.settle(EpochState.PROPOSED if moment == "proposal" else EpochState.ACTIVE)
    stage.time.mine(K)  # what the blocks before have done stays
    send_planned(stage.ledger)
    before = stage.entry(what)
    assert (before.state.value, before.block_number) == ("mined", stage.direct.head().number)
    stage.time.mine(depth - 1)
    follow(stage.ledger)
    reorg(stage, depth)
    assert stage.direct.block(before.block_number or 0).hash != before.block_hash
    assert stage.play() == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("look", [1, 4, 7, 10, 13])
@pytest.mark.parametrize("depth", SHALLOW)
def test_at_any_look(stage: Stage, undisturbed: Outcome, depth: int, look: int) -> None:
    """At one look or another, whatever was just done, the newest blocks are replaced."""
    looks = iter(range(10_000))
    stage.settle(EpochState.PROPOSED)

    def strike() -> None:
        if next(looks) == look:
            reorg(stage, depth)

    stage.settle(between=strike)
    outcome = stage.play()
    # an activation may be mined before the window's end of a branch whose blocks are younger: refused, and planned anew
    assert unsent(outcome) == unsent(undisturbed)
    assert [state for key, state in outcome.sent if key.startswith("epoch/0/activate")].count("final") == 1


@pytest.mark.row("reorg moves a claim")
@pytest.mark.parametrize("depth", [1, K])
def test_a_claim_moves_before_it_is_final(stage: Stage, undisturbed: Outcome, depth: int) -> None:
    """A claim that is mined and not final is mined again in another block; it is booked once, from there."""
    stage.settle()
    stage.time.mine(K)
    stage.claim(0)
    stage.time.mine(depth - 1)
    follow(stage.ledger)
    reorg(stage, depth, [[raw_claim(stage), 0]])
    assert stage.play() == undisturbed


@pytest.mark.row("reorg drops a claim")
@pytest.mark.parametrize("depth", [1, K])
def test_a_claim_is_dropped_before_it_is_final(stage: Stage, undisturbed: Outcome, depth: int) -> None:
    """A claim that is mined and not final is on no branch any more: the same bytes go out again."""
    stage.settle()
    stage.time.mine(K)
    stage.claim(0)
    stage.time.mine(depth - 1)
    follow(stage.ledger)
    reorg(stage, depth)
    assert stage.events()["EpochActivated"] == 1
    assert "Claimed" not in stage.events()
    assert stage.play() == undisturbed


def raw_claim(stage: Stage) -> str:
    """The signed bytes of the first operator's claim, as anvil_reorg takes them into another block."""
    from ledger.db import outbox

    signer = stage.signer("operator-0")
    with stage.ledger.database.reading() as session:
        (entry,) = outbox.entries(session, stage.direct.chain_id, signer.address)
        return to_hex(outbox.attempts(session, entry)[-1].raw)


class TestBelowFinality:
    """Blocks that were final are replaced: the ledger halts and says so, and a person lets it go on."""

    def halted(self, stage: Stage) -> None:
        """Nothing more is booked, with one reason, until a person has looked."""
        before = len(booked(stage))
        with pytest.raises(FinalityBrokenError, match="were final and are gone"):
            follow(stage.ledger)
        for _ in range(3):
            with pytest.raises(BlockVanishedError, match="booked facts stand on blocks that left the chain"):
                follow(stage.ledger)
            stage.time.mine()
        assert state_of(stage.ledger, NEXT) is EpochState.HALTED
        assert len(booked(stage)) == before
        page = (HOWTO / "reorg-below-finality.md").read_text(encoding="utf-8")
        assert all(code in page for code in ("chain.finality-broken", "books.block-vanished"))

    def resumed(self, stage: Stage) -> Outcome:
        """The person's step, and what every worker does anyway."""
        resume(stage.ledger, NEXT, "the other branch won; looked at with reconcile")
        stage.settle()
        for rank in range(CLAIMANTS):
            stage.claim(rank)
        return stage.finish()

    @pytest.mark.parametrize(
        ("depth", "taken_back"),
        [
            pytest.param(K + 1, 1, marks=pytest.mark.row("reorg of K+1")),
            pytest.param(3 * K, 4, marks=pytest.mark.row("reorg of 3K")),
        ],
    )
    def test_final_blocks_are_replaced(self, stage: Stage, undisturbed: Outcome, depth: int, taken_back: int) -> None:
        """A booked claim, and three times as deep the activation too, is gone: taken back, and booked anew."""
        stage.settle()
        for rank in range(CLAIMANTS):
            stage.claim(rank)
        stage.time.mine(K)
        follow(stage.ledger)
        assert len(booked(stage)) == 4
        stage.direct.rpc("anvil_reorg", depth, [])
        stage.time.mine()
        self.halted(stage)
        outcome = self.resumed(stage)
        assert unsent(outcome) == unsent(undisturbed)
        assert sum(key.startswith("reversal/") for key in booked(stage)) == taken_back

    @pytest.mark.row("reorg moves a claim")
    def test_a_booked_claim_moves(self, stage: Stage, undisturbed: Outcome) -> None:
        """A claim that was final and booked is mined again in another block: taken back and booked from there."""
        stage.settle()
        stage.claim(0)
        stage.time.mine(K)
        follow(stage.ledger)
        stage.direct.rpc("anvil_reorg", K + 1, [[raw_claim(stage), 1]])
        stage.time.mine()
        self.halted(stage)
        assert unsent(self.resumed(stage)) == unsent(undisturbed)

    @pytest.mark.row("reorg drops a claim")
    def test_a_booked_claim_is_dropped(self, stage: Stage, undisturbed: Outcome) -> None:
        """A claim that was final and booked is on no branch any more: taken back, and sent again as it was."""
        stage.settle()
        stage.claim(0)
        stage.time.mine(K)
        follow(stage.ledger)
        raw = raw_claim(stage)
        stage.direct.rpc("anvil_reorg", K + 1, [])
        stage.time.mine()
        self.halted(stage)
        assert "Claimed" not in stage.events()
        assert unsent(self.resumed(stage)) == unsent(undisturbed)
        assert raw_claim(stage) == raw


def booked(stage: Stage) -> list[str]:
    """The keys of everything the chain log has."""
    with stage.ledger.database.reading() as session:
        return [entry.key for entry in journal.entries(session, chain=Chain.LOG)]


def unsent(outcome: Outcome) -> Outcome:
    """Without how often what was sent: in a branch whose blocks are younger an activation may come too early."""
    return replace(outcome, sent=(), nonces=())
