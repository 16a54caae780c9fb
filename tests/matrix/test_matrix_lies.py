"""Whatever the node's answers are, nothing is lost, nothing is done twice, and the final bytes are the same."""

from collections.abc import Callable

import pytest
from matrix.stage import K, Outcome, Stage

from ledger.model.epoch import EpochState

LIES = {
    "RPC lies: stale head": ("stale-head", {"value": -3}),
    "RPC lies: null receipt": ("null-receipt", {}),
    "RPC lies: missing block": ("missing-block", {}),
    "RPC lies: wrong chain id": ("wrong-chain-id", {}),
    "RPC lies: empty logs": ("empty-logs", {}),
}
EVERY_LIE = [pytest.param(*lie, id=lie[0], marks=pytest.mark.row(row)) for row, lie in LIES.items()]


@pytest.mark.parametrize(("kind", "options"), EVERY_LIE)
def test_now_and_then(stage: Stage, undisturbed: Outcome, kind: str, options: dict) -> None:
    """The only endpoint lies and is honest in turn through the whole settlement and all claims."""
    is_about_all = kind == "stale-head"
    stage.harass(kind, times=25 if is_about_all else 3, spared=35 if is_about_all else 2, **options)
    outcome = stage.play()
    assert stage.hits >= 3
    stage.proxy.behave()
    assert stage.finish() == outcome == undisturbed


@pytest.mark.parametrize(("kind", "options"), EVERY_LIE)
def test_for_ever_by_one_of_three(
    stage_with: Callable[..., Stage], undisturbed: Outcome, kind: str, options: dict
) -> None:
    """The first of three endpoints lies from the first moment to the last."""
    stage = stage_with(endpoints=3)
    stage.proxy.misbehave(kind, **(options | ({"value": -9} if kind == "stale-head" else {})))
    assert stage.play() == undisturbed
    assert stage.hits >= 1


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), EVERY_LIE)
def test_for_long_and_then_no_more(stage: Stage, undisturbed: Outcome, kind: str, options: dict) -> None:
    """The only endpoint tells nothing but the lie while an epoch waits, for forty looks, and is honest again."""
    stage.settle(EpochState.PROPOSED)
    stage.proxy.misbehave(kind, **options)
    looks = iter(range(10_000))

    def honest_in_the_end() -> None:
        if next(looks) == 40:
            stage.proxy.behave()

    stage.settle(between=honest_in_the_end)
    assert next(looks) > 40 or kind in {"stale-head"}, "the lie was lived with until it ended"
    stage.proxy.behave()
    assert stage.play() == undisturbed


@pytest.mark.row("RPC lies: stale block")
@pytest.mark.parametrize("endpoints", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "what",
    [
        "both",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("eth_getBlockByNumber", "eth_getTransactionReceipt")),
    ],
)
def test_a_block_that_left_the_chain_is_served_as_if_it_were_there(
    stage_with: Callable[..., Stage], undisturbed: Outcome, what: str, endpoints: int
) -> None:
    """After a reorganisation took the proposal away the node shows the old block, its receipt, or both, for a while."""
    stage = stage_with(endpoints=endpoints)
    stage.settle(EpochState.PROPOSED)
    for proxy in stage.proxies:
        proxy.remember()
    stage.patiently(lambda: stage.proxy.ask("eth_blockNumber"))
    looks = iter(range(10_000))

    def undone_and_denied() -> None:
        look = next(looks)
        if look == 2:
            assert stage.entry("propose").state.value == "mined"
            stage.direct.rpc("anvil_reorg", K - 1, [])
            stage.proxy.remember(False)
            methods = ("eth_getBlockByNumber", "eth_getTransactionReceipt") if what == "both" else (what,)
            stage.proxy.misbehave("remembered", *methods)
        if look == 12:
            stage.proxy.behave()

    stage.settle(between=undone_and_denied)
    assert next(looks) > 12 or endpoints > 1
    stage.proxy.behave()
    assert stage.play() == undisturbed
