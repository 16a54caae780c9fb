"""The chain takes blocks back: shallow, as deep as finality, and deeper; what was sent is sent again, once."""

from dataclasses import replace
from typing import Any

import pytest
from matrix.stage import K, Outcome, Stage

from ledger.model.epoch import EpochState
from ledger.model.units import to_hex
from ledger.steps.follow import follow
from ledger.steps.publisher import send_planned

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
    assert replace(outcome, sent=(), nonces=()) == replace(undisturbed, sent=(), nonces=())
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
